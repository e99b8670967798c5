"""A dataset for PyTorch. Import this module only if torch is installed."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Dataset as _Torch

from pixcore_adapters.opening import open_image
from pixcore_adapters.rendering import render_frame
from pixcore_runners.library.picture import Picture

if TYPE_CHECKING:
    from PIL.Image import Image

Transform = Callable[["Image"], Any]
_FULL_SIZE = 1 << 30  # pixels: `render_frame` scales down to no less


class TorchDataset(_Torch[tuple[Any, int]]):
    """Pairs of a picture and the number of its label.

    Attributes:
        classes: The labels; their places are the numbers.
    """

    def __init__(self, pictures: Sequence[Picture], classes: Sequence[str], transform: Transform | None) -> None:
        self.classes = tuple(classes)
        self._pictures = pictures
        self._numbers = {label: number for number, label in enumerate(classes)}
        self._transform = transform or _tensor

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, place: int) -> tuple[Any, int]:
        picture = self._pictures[place]
        drawn = render_frame(open_image(picture.data), _FULL_SIZE)
        return self._transform(drawn), self._numbers[picture.label]


def _tensor(image: "Image") -> torch.Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
