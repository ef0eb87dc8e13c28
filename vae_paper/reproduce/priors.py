"""python -m vae_paper.reproduce.priors: compare the VAE with models that have a learned prior or two layers of latents, on the
bundled handwriting -> results/priors.json.

The training took 40 minutes on a CPU. The rule, set before the first run: a model is better than the VAE if its -log p(x) is
lower for every seed, and the mean difference is more than the standard deviation of the differences.
"""

from pathlib import Path
from typing import Any

from vae_numpy.command_line import run
from vae_paper import weight_files
from vae_paper.config import Config
from vae_paper.data import load_data
from vae_paper.measuring import elbo
from vae_paper.measuring.estimators import importance
from vae_paper.reproduce import VERDICTS, NoOptions, machine, over_seeds, trained

SEEDS, K = (0, 1, 2), 200
MODELS: dict[str, dict[str, Any]] = {  # the models, each with the options that are not defaults
    "vae": {},
    "flow-prior": {},
    "vamp-prior": {"model_arguments": "inputs=50"},
    "ladder": {"latent_dim": 30, "model_arguments": "top=10"},
}


def main() -> None:
    """Train each model from every seed, and measure all test images."""
    test = load_data("handwriting", "test", "threshold")
    report: dict[str, Any] = {
        "command": "python -m vae_paper.reproduce.priors",
        "training": "handwriting, threshold binarisation, D = 20 (ladder: D = 30, 20 below and 10 above), Bernoulli, 40 epochs, "
        "batches of 32, a VampPrior of 50 images; the weights are those with the best loss on 1/12 of the images, held out",
        "measured_on": f"{test.about}, all images; nll: -(IWAE-{K}), an estimate from above; elbo: z sampled, 5 passes, a bound",
        "units": "nats per image",
        "machine": machine(),
        "models": {},
    }
    for name in MODELS:
        measured = []
        for seed in SEEDS:
            how = MODELS[name] | {"source": "handwriting", "likelihood": "bernoulli", "binarise": "threshold"}
            model, seconds = trained(Config(name=f"priors-{name}-{seed}", model=name, seed=seed, epochs=40, batch_size=32, **how))
            found = elbo.summary(model, test)
            nll = -importance(model, test, [K]).iwae[-1].mean().item()
            measured.append({"nll": nll, "elbo": found["elbo"], "rate": found["rate"], "seconds": seconds})
            print(name, seed, measured[-1], flush=True)
        report["models"][name] = over_seeds(measured)
    report["better"] = {name: compared(report["models"], name) for name in MODELS if name != "vae"}
    print(report["better"])
    weight_files.write_json(Path("results/priors.json"), report)


def compared(models: dict[str, Any], name: str) -> dict[str, Any]:
    """The gain, -log p(x) of the VAE minus -log p(x) of the model with the same seed: mean, sd, and the verdict of the rule."""
    gains = [plain["nll"] - other["nll"] for plain, other in zip(models["vae"]["seeds"], models[name]["seeds"], strict=True)]
    found = over_seeds([{"gain": gain} for gain in gains])
    holds = min(gains) > 0 and found["mean"]["gain"] > found["sd"]["gain"]
    return {"gain": found["mean"]["gain"], "sd": found["sd"]["gain"], "verdict": VERDICTS[holds]}


if __name__ == "__main__":
    run("python -m vae_paper.reproduce.priors", NoOptions, lambda _: main())
