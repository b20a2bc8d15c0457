"""``python -m golden <command>``: the golden model's command line."""

import sys

from golden.support.command_line import main

#: Command to module and help line; a module is imported only for its own command.
COMMANDS = {
    "eval": ("golden.commands.eval", "accuracy, agreement and speed beside the float network"),
    "export": ("golden.commands.export", "the integer network as a bundle"),
    "study": (
        "golden.commands.study",
        "every option of the quantizer against accuracy: docs/accuracy.md",
    ),
    "bench": ("golden.commands.bench", "speed of the integer executor beside the float network"),
    "train": ("golden.commands.train", "quantization-aware fine-tuning, the integer forward"),
    "train-digits": (
        "golden.commands.train_digits",
        "train an embedded model, vit_digits or swin_digits",
    ),
    "doctor": ("golden.commands.doctor", "what this machine has of what the project needs"),
}

if __name__ == "__main__":
    sys.exit(main("python -m golden", COMMANDS))
