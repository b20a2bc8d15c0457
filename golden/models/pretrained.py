"""timm's pretrained weights from the Hugging Face hub, with a bound on the time it may hang."""

import os
import threading
import urllib.error
import urllib.request
from pathlib import Path

#: Name resolution and connection of the probe; together they may not hang longer.
PROBE_SECONDS = 6.0
_FILE = "model.safetensors"


def fetch_pretrained(timm_name: str) -> Path | None:
    """Path of the hub's weights file for a timm model, or None where it cannot be had.

    A copy in the local cache is used without a network. Otherwise one probe request, without
    retries, decides within `PROBE_SECONDS` whether the hub answers for this file; only then
    does a download start. ``HF_HUB_OFFLINE=1`` skips the probe.
    """
    # Read by huggingface_hub at import: a stalled transfer ends in seconds, not minutes.
    os.environ.setdefault("HF_HUB_ETAG_TIMEOUT", "5")
    os.environ.setdefault("HF_HUB_DOWNLOAD_TIMEOUT", "8")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import huggingface_hub
    import timm

    config = timm.get_pretrained_cfg(timm_name)
    repository = config.hf_hub_id if config is not None else None
    if not repository:
        return None
    cached = huggingface_hub.try_to_load_from_cache(repository, _FILE)
    if isinstance(cached, str):
        return Path(cached)
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        return None
    if not _answers(huggingface_hub.hf_hub_url(repository, _FILE)):
        return None
    try:
        return Path(huggingface_hub.hf_hub_download(repository, _FILE))
    except Exception:  # whatever broke the transfer, the caller has another source of weights
        return None


def _answers(url: str) -> bool:
    """True when a HEAD request succeeds in time; honours the proxy settings."""
    result: list[bool] = []

    def probe() -> None:
        request = urllib.request.Request(url, method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=PROBE_SECONDS / 2) as response:
                result.append(response.status < 400)
        except (OSError, ValueError, urllib.error.URLError):
            result.append(False)

    # A resolver may hang beyond any socket time-out, so the wait is bounded from outside and
    # the thread is a daemon: it does not hold up the end of the program.
    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return bool(result and result[0])
