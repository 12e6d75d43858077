"""Says which files of a folder or archive are no photos and are passed over without an outcome. Looks at names only.

The list is short on purpose: what lies beside photos by the camera's or the system's doing. Everything else gets an
outcome, whatever it is called, so that nothing goes missing unseen: a photo with a wrong extension is still a photo,
and a text or an archive in a folder is reported as no photo. What is named on the command line is always taken.
"""

import posixpath

_NAMES = {
    "thumbs.db": "a thumbnail cache of Windows",
    "ehthumbs.db": "a thumbnail cache of Windows",
    "desktop.ini": "a folder setting of Windows",
    "__macosx": "macOS metadata in an archive",
    "@eadir": "thumbnails of a Synology disk station",
}
_KINDS = {
    "a sidecar file": ".xmp .aae .thm .pp3 .xmf .json",
    "a video": ".mov .mp4 .m4v .avi .mkv .mpg .mpeg .mts .m2ts .3gp .webm .wmv",
    "a sound": ".mp3 .m4a .wav .aac .flac .ogg",
}
_SUFFIXES = {suffix: kind for kind, suffixes in _KINDS.items() for suffix in suffixes.split()}


def why_skipped(name: str) -> str | None:
    """Say why a file or folder of this name is passed over, or None for what is taken.

    Args:
        name: without its folder.
    """
    if name.startswith("."):
        return "hidden"
    lowered = name.lower()
    return _NAMES.get(lowered) or _SUFFIXES.get(posixpath.splitext(lowered)[1])


def why_folder_skipped(name: str) -> str | None:
    """Say why a folder of this name is not walked, or None."""
    return "hidden" if name.startswith(".") else _NAMES.get(name.lower())


def why_member_skipped(name: str) -> str | None:
    """Say why an archive member is passed over, or None; its folders count too."""
    *folders, file = [part for part in name.split("/") if part not in ("", ".", "..")] or [name]
    return next((why for folder in folders if (why := why_folder_skipped(folder))), None) or why_skipped(file)
