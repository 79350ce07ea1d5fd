"""The checksums of the files that a run learns from, so that it resumes with the same ones."""

import hashlib
import pathlib

import ml_collections

from sesr_jax.errors import InputError
from sesr_jax.train.config import list_stage_settings


def fingerprint(config: ml_collections.ConfigDict) -> dict[str, tuple[str, str | None]]:
    """Returns the files "teacher" and "vgg", each with its SHA-256, or with None where a run has no such.

    Raises:
      InputError: there is no such file.
    """
    teacher = config.distill.teacher if config.distill.weight else ""
    judging = {
        settings.adversarial.vgg
        for settings in list_stage_settings(config)
        if settings.trainer == "adversarial" and settings.adversarial.weights.perceptual
    }
    if len(judging) > 1:
        raise InputError(
            f"config.stages names several files in adversarial.vgg ({', '.join(sorted(judging))}): a run has "
            "one."
        )
    files = {"teacher": ("config.distill.teacher", teacher)}
    files["vgg"] = ("config.adversarial.vgg", next(iter(judging), ""))
    return {key: (file, _hash(name, file) if file else None) for key, (name, file) in files.items()}


def _hash(name: str, file: str) -> str:
    try:
        return hashlib.sha256(pathlib.Path(file).read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(
            f"{name} {file} cannot be read ({error.strerror}): it must be a file of weights."
        ) from error
