"""python -m vae_lowlevel: train, report, save weights that levels 1 and 3 read."""

from vae_lowlevel.train import Config, header, train
from vae_numpy import digits, weights
from vae_numpy.command_line import run


def main(config: Config) -> None:
    """Train on the training split, test on the test split, save."""
    data, test = digits.load(config.source), digits.load(config.source, "test")
    print(f"digits   {data.source}, grayscale")
    params = train(config, data, test)
    about = header(config, data, test, params)
    weights.save(config.out, {name: p.numpy() for name, p in params.items()}, about)
    print(f"test     {about['test_objective']:.2f} nats per image on {about['test_data']} ({about['test_objective_is']})")
    print(f"weights  {config.out}")


if __name__ == "__main__":
    run("python -m vae_lowlevel", Config, main)
