"""`make bench`: level 1, training and evaluation on the CPU, or with `--device cuda` what a GPU changes; into results/."""

import argparse

import torch

from benchmarks import evaluation, gpu, level1, training


def main() -> None:
    """All that is measured in minutes. (benchmarks.same_objective trains for an hour; benchmarks.soak breaks things.)"""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", help="of torch (default: all cores)")
    chosen = parser.parse_args()
    if chosen.device == "cuda":
        if not torch.cuda.is_available():
            parser.error("there is no CUDA device here")
        gpu.main([])
        return
    threads = ["--threads", chosen.threads] if chosen.threads else []
    training.main(threads)
    evaluation.main(threads)
    level1.main()  # on the threads that were set


if __name__ == "__main__":
    main()
