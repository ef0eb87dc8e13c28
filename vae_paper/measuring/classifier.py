"""A small classifier of digits, which measures samples. It has the encoder's layers and ten outputs.

It sees half of each training batch in grayscale and half binarised, so it can judge x_hat as well as images of 0 and 1.
"""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, relu
from torch.optim import Adam
from tqdm import tqdm

from vae_numpy import digits, weights
from vae_numpy.checks import check_images, check_labels
from vae_paper import schedules, weight_files
from vae_paper.data import Data, load_data
from vae_paper.likelihoods import binarise
from vae_paper.measuring.elbo import Estimate, mean_of
from vae_paper.vae import Labels

EPOCHS, BATCH, LEARNING_RATE = 6, 128, 2e-3


class Classifier(nn.Module):
    """x -> ten logits."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, stride=2, padding=1)
        self.fc = nn.Linear(3136, 256)
        self.out = nn.Linear(256, 10)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Float[Tensor, "B 1 28 28"]) -> Float[Tensor, "B 10"]:
        return self.out(self.dropout(self.features(x)))  # (B, 10)

    def features(self, x: Float[Tensor, "B 1 28 28"]) -> Float[Tensor, "B 256"]:
        """The last hidden layer."""
        check_images(x)
        h = relu(self.conv1(x))  # (B, 32, 14, 14)
        h = relu(self.conv2(h))  # (B, 64, 7, 7)
        return relu(self.fc(self.dropout(h.flatten(1))))  # (B, 256)


@torch.inference_mode()
def probabilities(model: Classifier, x: Float[Tensor, "B 1 28 28"]) -> Float[Tensor, "B 10"]:
    """p(label|x) for each label."""
    return torch.cat([model(part).softmax(1) for part in x.split(500)])


def accuracy(model: Classifier, x: Float[Tensor, "B 1 28 28"], labels: Labels) -> Estimate:
    """The fraction of images whose most probable label is the given label."""
    check_labels(labels, len(x))
    return mean_of((probabilities(model, x).argmax(1) == labels).double())


def trained(source: str = "auto") -> Classifier:
    """A classifier for a source's digits, in eval mode: read from runs/, or trained now (a minute or two) and saved there.

    It is trained on the train split only. The header of its file holds its test accuracy: about 99 % on MNIST.
    """
    source = digits.resolved(source)
    model, path = Classifier(), weight_files.RUNS / f"classifier-{source}.safetensors"
    if path.is_file():
        read(path, model)
        return model.eval()
    data, test = load_data(source, "train"), load_data(source, "test")
    _train(model, data)
    report = {"model": "classifier", "data": data.about, "test_data": test.about, "epochs": EPOCHS}
    weight_files.save_model(path, model, report | {"test_accuracy": accuracy(model, test.images, test.labels).value})
    return model


def _train(model: Classifier, data: Data) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # for the initial parameters and for dropout
        for layer in (model.conv1, model.conv2, model.fc, model.out):
            layer.reset_parameters()
        generator = torch.Generator().manual_seed(0)
        optimizer = Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
        per_epoch = len(data.images) // BATCH
        model.train()
        with tqdm(total=EPOCHS * per_epoch, unit="step", desc="classifier", disable=None) as bar:
            for _ in range(EPOCHS):
                for chosen in torch.randperm(len(data.images), generator=generator).split(BATCH)[:per_epoch]:
                    gray, other = data.images[chosen].chunk(2)
                    x = torch.cat([gray, binarise(other, "dynamic", generator)])
                    loss = cross_entropy(model(x), data.labels[chosen])
                    for group in optimizer.param_groups:
                        group["lr"] = LEARNING_RATE * schedules.one_cycle(bar.n / bar.total)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    bar.update()
    model.eval()


def read(path: Path, model: Classifier) -> None:
    """Read the parameters of a classifier's file into `model`. ValueError if the file is damaged or holds another model."""
    tensors, about = weights.load_tensors(path)
    if about.get("model") != "classifier":
        raise ValueError(f"{path}: holds {about.get('model')!r}; expected a classifier; delete the file")
    weight_files.fill(path, model, tensors)
