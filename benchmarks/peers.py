"""The same network in other people's trainers, through what they document: pythae, Lightning. (`pip install pythae lightning`)"""

import importlib.util
import tempfile
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.contestants import LEARNING_RATE, Contestant, Job
from vae_paper.vae import VAE


def pythae(model: VAE, job: Job) -> None:
    """pythae's VAE and BaseTrainer around our encoder and decoder, on as many images in memory as the job takes."""
    from pythae import models
    from pythae.data.datasets import BaseDataset
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from pythae.trainers.training_callbacks import TrainingCallback

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.ours = model.encoder

        def forward(self, x: Tensor) -> Any:
            mu, logvar = self.ours(x)
            return ModelOutput(embedding=mu, log_covariance=logvar)

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.ours = model.decoder

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=torch.sigmoid(self.ours(z)))

    class Clock(TrainingCallback):
        def on_train_step_end(self, training_config: Any, **rest: Any) -> None:
            job.done()

    images, labels = (torch.from_numpy(array[: job.steps * job.batch_size]) for array in job.data[:2])
    epochs = -(-job.steps // (len(images) // job.batch_size))
    config = models.VAEConfig(input_dim=(1, 28, 28), latent_dim=model.latent_dim, reconstruction_loss="bce")
    with tempfile.TemporaryDirectory() as folder:
        BaseTrainer(
            model=models.VAE(config, Encoder(), Decoder()),
            train_dataset=BaseDataset(images, labels),
            training_config=BaseTrainerConfig(
                output_dir=folder, per_device_train_batch_size=job.batch_size, num_epochs=epochs, learning_rate=LEARNING_RATE,
                no_cuda=job.device == "cpu",
            ),
            callbacks=[Clock()],
        ).train()  # fmt: skip


def lightning(model: VAE, job: Job) -> None:
    """A plain LightningModule, its batches from a DataLoader over tensors; no logger, no checkpoints, no progress bar."""
    import lightning as L

    class Module(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.decoder = model.encoder, model.decoder

        def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
            x, _ = batch
            mu, logvar = self.encoder(x)
            logits = self.decoder(mu + torch.exp(0.5 * logvar) * torch.randn_like(mu))
            kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
            return (binary_cross_entropy_with_logits(logits, x, reduction="sum") + kl) / len(x)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=LEARNING_RATE)

    class Clock(L.Callback):
        def on_train_batch_end(self, *rest: Any) -> None:
            job.done()

    data = TensorDataset(*(torch.from_numpy(array) for array in job.data[:2]))
    L.Trainer(
        accelerator="gpu" if job.device == "cuda" else "cpu", devices=1, max_steps=job.steps, max_epochs=-1, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, callbacks=[Clock()],
    ).fit(Module(), DataLoader(data, batch_size=job.batch_size, shuffle=True))  # fmt: skip


def installed(asked: bool = True) -> tuple[dict[str, Contestant], dict[str, str]]:
    """The peers that are here, and how to get those that are not; none where they are not asked for."""
    peers: dict[str, Contestant] = {"pythae": pythae, "lightning": lightning}
    if not asked:
        return {}, dict.fromkeys(peers, "not asked for")
    missing = {name: f"not installed: pip install {name}" for name in peers if importlib.util.find_spec(name) is None}
    return {name: peer for name, peer in peers.items() if name not in missing}, missing
