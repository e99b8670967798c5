"""Print the flags that cleanvision gives the images of a folder, as JSON. Run by a Python that has cleanvision."""

import contextlib
import io
import json
import sys
from pathlib import Path

from cleanvision import Imagelab  # type: ignore[import-not-found]  # not a dependency

NAMES = {
    "dark": "dark",
    "light": "light",
    "odd_aspect_ratio": "odd_aspect",
    "low_information": "low_information",
    "grayscale": "grayscale",
    "blurry": "blurry",
}


def main(folder: str) -> None:
    """Read every image of the folder."""
    with contextlib.redirect_stdout(io.StringIO()):
        lab = Imagelab(data_path=folder, verbose=False)
        lab.find_issues({name: {} for name in NAMES}, n_jobs=1, verbose=False)
    flags = {
        Path(path).name: [own for name, own in NAMES.items() if bool(row[f"is_{name}_issue"])]
        for path, row in lab.issues.iterrows()
    }
    json.dump(flags, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
