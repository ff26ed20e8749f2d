"""The licence of Stable Diffusion's official weights, and where the weights can be downloaded."""

LICENCE = "CreativeML OpenRAIL-M"
LICENCE_URL = "https://huggingface.co/spaces/CompVis/stable-diffusion-license"
# A summary of the licence.
LICENCE_SUMMARY = """\
You may use, modify and share the weights, also commercially, and you are responsible for what you
make with them. Attachment A of the licence lists the uses that are forbidden: breaking the law;
harming minors; false statements or personal data used to harm others; defamation and harassment;
discrimination, and exploiting people's vulnerabilities; automated decisions about people's
rights; medical advice; the administration of justice. If you pass the weights on, these
restrictions go with them. No safety filter checks the images that are generated here."""
# Several, because such pages disappear, as the original one did in 2024.
DOWNLOAD_PAGES = (
    # Version 1.5: a folder, and single files.
    "https://huggingface.co/stable-diffusion-v1-5/stable-diffusion-v1-5",
    # Version 1.5: single files.
    "https://huggingface.co/Comfy-Org/stable-diffusion-v1-5-archive",
    # Version 1.4, by the authors: a folder.
    "https://huggingface.co/CompVis/stable-diffusion-v1-4",
)
