"""Two examples for the help of every command; a test parses each of them."""

EXAMPLES = {
    "eval": (
        "potvit eval vit_digits",
        "potvit eval deit_tiny photos/ --bits w4a8 --attn half",
    ),
    "export": (
        "potvit export vit_digits --out digits-bundle",
        "potvit export timm:deit_tiny_patch16_224 photos/ --tensors 1",
    ),
    "study": (
        "potvit study --list",
        "potvit study --model vit_digits --limit 200",
    ),
    "bench": (
        "potvit bench vit_digits",
        "potvit bench deit_tiny photos/ --threads 1 --rounds 5",
    ),
    "sim-bench": (
        "potvit sim-bench",
        "potvit sim-bench --model vit_digits --config tiny --against ../older --repeats 5",
    ),
    "train": (
        "potvit train vit_digits --bits w4a4 --epochs 20",
        "potvit train deit_tiny photos/ --bits w4a8 --attn half --resume",
    ),
    "train-digits": (
        "potvit train-digits --out mine.safetensors",
        "potvit train-digits --model swin_digits --seed 1 --out swin.safetensors",
    ),
    "compile": (
        "potvit compile digits-bundle --config tiny --out digits.potvit",
        "potvit compile digits-bundle --config my.toml --explain",
    ),
    "verilog": (
        "potvit verilog --config tiny",
        "potvit verilog --config edge --set rows=8 --out rtl",
    ),
    "package": (
        "potvit package --config tiny",
        "potvit package --config edge --set axi_id_bits=4 --model vit_digits --out ip/potvit",
    ),
    "synth": (
        "potvit synth --config tiny",
        "potvit synth --config edge --target ecp5",
    ),
    "prove": (
        "potvit prove",
        "potvit prove --unit fifo",
    ),
    "sim": (
        "potvit sim vit_digits --config tiny",
        "potvit sim deit_tiny --bits w4a8 --stalls random --seed 3",
    ),
    "classify": (
        "potvit classify photo.jpg",
        "potvit classify digit.png --model vit_digits --config tiny -v",
    ),
    "report": (
        "potvit report --model vit_digits --config tiny",
        "potvit report --model deit_tiny --mhz 250",
    ),
    "explore": (
        "potvit explore vit_digits --config tiny",
        "potvit explore deit_tiny --confirm 2",
    ),
    "search": (
        "potvit search --model vit_digits --config tiny",
        "potvit search --model deit_tiny --budget 900000",
    ),
    "fuzz": (
        "potvit fuzz --number 200",
        "potvit fuzz --config edge --seed 7 --jobs 1",
    ),
    "doctor": (
        "potvit doctor",
        "potvit doctor --json",
    ),
}
