"""python -m vae_lowlevel: train the VAE, measure -ELBO on the test images, save weights for all levels."""

import shlex

from vae_lowlevel.train import Config, epochs_and_batch_size, measure, train
from vae_lowlevel.vae import Params
from vae_numpy import digits, files, weights
from vae_numpy.command_line import command_of, run


def main(config: Config) -> None:
    """Train on the training split, and measure -ELBO on the test split. The weights are saved after each epoch."""
    files.check_writable(config.out)
    source = digits.resolved(config.source)
    data, test = digits.load(source), digits.load(source, "test")
    planned, _ = epochs_and_batch_size(config, len(data.images))  # wrong options are refused here, before anything is printed
    print(f"digits   {data.source}, grayscale")
    if config.out.exists():
        print(f"note     {config.out} will be replaced after the first epoch; to keep it, stop (Ctrl-C) and choose another --out")
    finished = 0

    def save(params: Params, epochs: int, objective: float, error: float, passes: int = 1) -> None:
        nonlocal finished
        about = {
            "model": "vae",
            "latent_dim": config.latent_dim,
            "likelihood": config.kind,
            "command": command_of("python -m vae_lowlevel", config),
            "source": source,
            "data": f"{data.source}, grayscale",
            "epochs": epochs,
            "epochs_planned": planned,
            "seed": config.seed,
            "test_data": f"{test.source}, grayscale",
            "test_objective": objective,
            "test_objective_standard_error": error,
            "test_objective_is": f"-ELBO in nats per image, z sampled, passes: {passes}; an objective, not a bound",
        }
        weights.save(config.out, {name: p.detach().numpy() for name, p in params.items()}, about)
        finished = epochs

    try:
        params = train(config, data, test, after_epoch=save)
        objective, error = measure(params, test, config.kind, passes=5)
        save(params, finished, objective, error, passes=5)
    except (KeyboardInterrupt, ValueError) as stop:
        kept = f"{config.out} holds the weights after epoch {finished}" if finished else "no epoch was finished, nothing saved"
        raise type(stop)(f"{str(stop) or 'stopped'}; {kept}") from None
    print(f"test     -ELBO {objective:.2f} ± {error:.2f} nats per image on {test.source}; z sampled, mean of 5 passes")
    print(f"weights  {config.out}")
    print(f"picture  python -m vae_numpy --weights {shlex.quote(str(config.out))} --source {source}")


if __name__ == "__main__":
    run("python -m vae_lowlevel", Config, main)
