"""Locates published weights: folders in diffusers' layout, shards, single files, hub caches."""

import json
from pathlib import Path

from course_lib.assets import paths
from course_lib.sd.key_names import MODEL_NAMES
from course_lib.sd.tensor_files import PICKLE_ADVICE, PICKLE_SUFFIXES, TensorFile, shown

_TITLES = {"text_encoder": "text encoder", "unet": "U-Net", "vae": "autoencoder"}
_MAX_LISTED = 12


def resolve(path: str | Path) -> Path:
    """The folder or file to read: expands ``~``, and follows the hub's cache to a snapshot.

    The cache's layout: https://huggingface.co/docs/huggingface_hub/guides/manage-cache.

    Returns:
        A folder that contains at least one of ``text_encoder/``, ``unet/`` and ``vae/``, or a path
        that is not a folder.

    Raises:
        ValueError: if the folder has no weights; the message says what to give instead.
    """
    path = paths.expand_user(path).absolute()
    if not path.is_dir() or _has_models(path):
        return path
    snapshot = find_snapshot(path)
    if snapshot is not None:
        return resolve(snapshot)
    raise ValueError(_advice(path))


def open_model(folder: Path, name: str) -> tuple[dict[str, TensorFile], str | None]:
    """The tensors of one of the three models.

    Args:
        folder: in diffusers' layout.
        name: ``"text_encoder"``, ``"unet"`` or ``"vae"``.

    Returns:
        The file of each tensor, by name; and the name of a file with a non-standard name, or None.

    Raises:
        ValueError: if there are no weights, or files are missing or damaged.
    """
    folder = folder / name
    if not folder.is_dir():
        raise ValueError(_missing(folder))
    stem = "model" if name == "text_encoder" else "diffusion_pytorch_model"
    standard = (
        f"{stem}.safetensors",
        f"{stem}.safetensors.index.json",
        f"{stem}.fp16.safetensors",
        f"{stem}.safetensors.index.fp16.json",
    )
    # Broken links are included: opening them reports the problem.
    found = [
        folder / file
        for file in standard
        if (folder / file).is_file() or _is_broken_link(folder / file)
    ]
    others = sorted(folder.glob("*.safetensors"))
    indexes = sorted(folder.glob(f"{stem}.safetensors.index*.json"))
    if not found and len(indexes) == 1:  # shards of another variant
        return _open_shards(indexes[0]), f"{name}/{indexes[0].name}"
    if not found and len(others) != 1:
        raise ValueError(_no_weights(folder, standard[0], [file.name for file in others]))
    file = found[0] if found else others[0]
    if file.suffix == ".json":
        return _open_shards(file), None
    tensors = TensorFile(file)
    return dict.fromkeys(tensors.names, tensors), None if found else f"{name}/{file.name}"


def _open_shards(index: Path) -> dict[str, TensorFile]:
    """The tensors of several shards, by their index."""
    try:
        weight_map = dict(json.loads(index.read_text("utf-8-sig"))["weight_map"])
    except (OSError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(
            f"{index} should say which file holds which tensor, under weight_map: {error!r}."
        ) from error
    files: dict[str, TensorFile] = {}
    for name in weight_map.values():
        # An index must not refer to files outside its folder.
        if not isinstance(name, str) or Path(name).name != name or name in ("", "..", "."):
            raise ValueError(f"{index} lists {shown(str(name))}, which is outside its folder.")
        if name not in files:
            if not (index.parent / name).is_file():
                raise ValueError(
                    f"{index.parent / name} is missing, but listed in {index.name}: download it."
                )
            files[name] = TensorFile(index.parent / name)
    contents = {name: set(file.names) for name, file in files.items()}
    missing = [key for key, name in weight_map.items() if key not in contents[name]]
    if missing:
        raise ValueError(
            f"{index}: {shown(missing[0])} is not in {weight_map[missing[0]]}. "
            "Download the folder's files again, all of the same version."
        )
    return {key: files[name] for key, name in weight_map.items()}


def _has_models(folder: Path) -> bool:
    return any((folder / name).is_dir() for name in MODEL_NAMES)


def _is_broken_link(path: Path) -> bool:
    """Whether the target of a link is missing, as in an incomplete cache."""
    return path.is_symlink() and not path.exists()


def find_snapshot(folder: Path) -> Path | None:
    """The snapshot in a repository's folder of the hub's cache; None for other folders.

    Raises:
        ValueError: if there are several; the message lists them.
    """
    if folder.name == "snapshots":
        folder = folder.parent
    snapshots = [entry for entry in sorted(folder.glob("snapshots/*")) if entry.is_dir()]
    main = folder / "refs" / "main"
    if main.is_file():
        revision = main.read_text("utf-8", errors="replace").strip()
        snapshots = [entry for entry in snapshots if entry.name == revision] or snapshots
    if len(snapshots) > 1:
        raise ValueError(f"{folder} has several versions. Give one of them: {_list(snapshots)}.")
    return snapshots[0] if snapshots else None


def _advice(folder: Path) -> str:
    """What to give instead of a folder without models."""
    files = sorted(folder.glob("*.safetensors"))
    if folder.name in MODEL_NAMES and (files or (folder / "config.json").is_file()):
        title = _TITLES[folder.name]
        return f"{folder} is the {title} alone. Give the folder that contains it: {folder.parent}."
    settings = sorted(entry.name for entry in folder.glob("*config.json"))
    if files and settings:
        return (
            f"{folder} is one model alone: {settings[0]} is next to {files[0].name}. Give the "
            "folder with text_encoder/, unet/ and vae/, or a single file with all three models."
        )
    if files:
        one = "the file" if len(files) == 1 else "one of the files"
        return f"{folder} contains single files. Give {one}: {_list(files)}."
    below = [
        entry
        for entry in sorted(folder.iterdir())
        if entry.is_dir()
        and (_has_models(entry) or (entry / "snapshots").is_dir() or [*entry.glob("*.safetensors")])
    ]
    if below:
        one = "the folder" if len(below) == 1 else "one of the folders"
        return f"{folder} itself has no weights. Give {one}: {_list(below)}."
    return (
        f"{folder} has no text_encoder/, unet/ and vae/, and no .safetensors file. It contains "
        f"{_contents(folder)}.{_pickle_advice(folder)}"
    )


def _missing(folder: Path) -> str:
    """The message for a missing model folder."""
    if (folder.parent / "transformer").is_dir():
        return (
            f"{folder} is missing: {folder.parent} has transformer/ instead, as Stable Diffusion 3 "
            "and FLUX have. Give Stable Diffusion 1.x."
        )
    return (
        f"{folder} is missing: {folder.parent} has {_contents(folder.parent)}. Download it again."
    )


def _no_weights(folder: Path, standard: str, others: list[str]) -> str:
    """The message for a model folder without usable weights."""
    if any("-of-" in name for name in others):
        problem = f": shards with no index, or with several. Download {standard}.index.json too"
    elif others:
        problem = f". Rename the file to use to {standard}"
    else:
        problem = ", and no .safetensors file"
    found = f"{_contents(folder)}{problem}.{_pickle_advice(folder)}"
    return f"{folder}: expected {standard}, found {found}"


def _pickle_advice(folder: Path) -> str:
    pickles = any(entry.suffix in PICKLE_SUFFIXES for entry in folder.iterdir())
    return f" {PICKLE_ADVICE}" if pickles else ""


def _contents(folder: Path) -> str:
    names = sorted(entry.name + "/" * entry.is_dir() for entry in folder.iterdir())
    return _join([shown(name) for name in names]) or "nothing"


def _list(paths: list[Path]) -> str:
    return _join([str(path) for path in paths])


def _join(names: list[str]) -> str:
    rest = len(names) - _MAX_LISTED
    return ", ".join(names[:_MAX_LISTED]) + (f" and {rest} more" if rest > 0 else "")
