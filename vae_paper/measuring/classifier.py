"""A small classifier of images from one source. With it, `evaluate` measures the quality of a model's samples.

Its layers are those of the VAE's encoder, with dropout; ten outputs take the place of mu and logvar. Half of each training
batch is grayscale, half is binarised. So the classifier can be used on x_hat and on binary images.
"""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, relu
from torch.optim import Adam
from tqdm import trange

from vae_numpy import digits, weights
from vae_numpy.checks import check_images, check_labels
from vae_paper import schedules, weight_files
from vae_paper.data import Data, load_data
from vae_paper.likelihoods import binarise
from vae_paper.measuring.elbo import Estimate, mean_of
from vae_paper.vae import Labels

EPOCHS, BATCH, LEARNING_RATE = 6, 128, 2e-3


class Classifier(nn.Module):
    """x -> logits of the ten classes."""

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
        """The values of the last hidden layer."""
        check_images(x)
        h = relu(self.conv1(x))  # (B, 32, 14, 14)
        h = relu(self.conv2(h))  # (B, 64, 7, 7)
        return relu(self.fc(self.dropout(h.flatten(1))))  # (B, 256)


@torch.inference_mode()
def probabilities(model: Classifier, x: Float[Tensor, "B 1 28 28"]) -> Float[Tensor, "B 10"]:
    """p(label|x) for each label."""
    return torch.cat([model(part).softmax(1) for part in x.split(500)])


def accuracy(model: Classifier, x: Float[Tensor, "B 1 28 28"], labels: Labels) -> Estimate:
    """The accuracy: the fraction of images whose most probable label is the one in `labels`."""
    check_labels(labels, len(x))
    return mean_of((probabilities(model, x).argmax(1) == labels).double())


def trained(source: str = "auto") -> Classifier:
    """The classifier for the images of `source`, in eval mode. It is read from runs/, or trained now and saved there.

    Training takes a minute or two, on the train split only. The file's header holds the test accuracy: about 99 % on MNIST.
    """
    source = digits.resolved(source)
    path = weight_files.RUNS / f"classifier-{source}.safetensors"
    if path.is_file():
        model = Classifier()
        read(path, model)
        return model.eval()
    data, test = load_data(source, "train"), load_data(source, "test")
    model = _train(data)
    report = {"model": "classifier", "data": data.about, "test_data": test.about, "epochs": EPOCHS, "lr_schedule": "one-cycle"}
    weight_files.save_model(path, model, report | {"test_accuracy": accuracy(model, test.images, test.labels).value})
    return model


def _train(data: Data) -> Classifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # decides the initial parameters and dropout
        model = Classifier()
        generator = torch.Generator().manual_seed(0)
        optimizer = Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
        per_epoch = len(data.images) // BATCH
        total = EPOCHS * per_epoch
        for step in trange(total, unit="step", desc="classifier", disable=None):
            if step % per_epoch == 0:
                order = torch.randperm(len(data.images), generator=generator).split(BATCH)
            chosen = order[step % per_epoch]
            gray, other = data.images[chosen].chunk(2)
            x = torch.cat([gray, binarise(other, "dynamic", generator)])
            loss = cross_entropy(model(x), data.labels[chosen])
            optimizer.param_groups[0]["lr"] = LEARNING_RATE * schedules.one_cycle(step / total)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


def read(path: Path, model: Classifier) -> None:
    """Read a classifier's parameters from `path` into `model`. ValueError if the file is damaged, old, or holds another model."""
    tensors, about = weights.load_tensors(path)
    if about.get("model") != "classifier":
        raise ValueError(f"{path}: holds {about.get('model')!r}; expected a classifier; delete the file")
    if "lr_schedule" not in about:  # the learning rate of an older version was wrong in some cases
        raise ValueError(f"{path}: a classifier of an older version; delete the file: it is trained again")
    weight_files.fill(path, model, tensors)
