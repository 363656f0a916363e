"""A network on LitServe that takes a picture in the form's field `image`: `python on_litserve.py PORT NETWORK.onnx`."""

import sys

import litserve
import numpy as np
from network import Network
from PIL import Image


class API(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.network = Network(sys.argv[2])

    def decode_request(self, request):  # without types: LitServe would read the body by them
        picture = Image.open(request["image"].file).convert("RGB")
        return np.asarray(picture, np.float32).transpose(2, 0, 1)[None] / 255

    def predict(self, image: np.ndarray) -> int:
        return self.network.labels(image).item()

    def encode_response(self, label: int) -> dict[str, int]:
        return {"label": label}


if __name__ == "__main__":
    litserve.LitServer(API(), accelerator="cpu").run(port=int(sys.argv[1]), generate_client_file=False)
