"""python -m vae_lowlevel: train, measure on the test images, save weights that levels 1 and 3 read."""

from collections.abc import Mapping

from torch import Tensor

from vae_lowlevel.train import Config, measure, train
from vae_numpy import digits, weights
from vae_numpy.command_line import run, spelled
from vae_numpy.digits import Digits


def main(config: Config) -> None:
    """Train on the training split, measure on the test split, save the weights."""
    data, test = digits.load(config.source), digits.load(config.source, "test")
    print(f"digits   {data.source}, grayscale")
    params = train(config, data, test)
    about = header(config, data, test, params)
    weights.save(config.out, {name: p.numpy() for name, p in params.items()}, about)
    print(f"test     {about['test_objective']:.2f} nats per image on {about['test_data']} ({about['test_objective_is']})")
    print(f"weights  {config.out}")


def header(config: Config, data: Digits, test: Digits, params: Mapping[str, Tensor]) -> dict[str, object]:
    """The header of the weight file: how the weights were made, and their test objective."""
    objective, error = measure(params, test, config.kind, passes=5)
    return {
        "model": "vae",
        "latent_dim": config.latent_dim,
        "likelihood": config.kind,
        "command": spelled("python -m vae_lowlevel", config),
        "source": digits.resolved(config.source),
        "data": f"{data.source}, grayscale",
        "epochs": config.epochs,
        "seed": config.seed,
        "test_data": f"{test.source}, grayscale",
        "test_objective": objective,
        "test_objective_standard_error": error,
        "test_objective_is": "-ELBO in nats per image, z sampled, mean of 5 passes; an objective, not a bound",
    }


if __name__ == "__main__":
    run("python -m vae_lowlevel", Config, main)
