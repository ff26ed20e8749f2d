"""Build data/sprites/: one sheet of 128x128 RGBA tiles per drawing style, and the list of the
objects on it.

Run in the checkout:

    uv run --with resvg-py==0.5.0 --with pillow python data/build_sprites.py FOLDER

FOLDER holds the files that these commands download, each unpacked into the folder after it:

    apt-get download fonts-noto-color-emoji=2.042-0+deb12u1    noto/
    npm pack @lobehub/fluent-emoji-3d@1.1.0                    fluent/
    npm pack @twemoji/svg@15.0.0                               twemoji/
    npm pack emojione@2.2.7                                    emojione/

data/LICENSES.md has authors and licences. The build stops if a style lacks an object.
"""

import hashlib
import io
import json
import sys
from pathlib import Path

import resvg_py
from PIL import Image, ImageDraw, ImageFont

SPRITES = Path(__file__).parent / "sprites"
TILE, MARGIN, COLUMNS = 128, 2, 12
STYLES = ("emojione", "fluent", "noto", "twemoji")

# The course's own names, by group: they must fit into a sentence such as "a red fox".
OBJECTS = {
    "animal": """
        1f436 dog, 1f431 cat, 1f42d mouse, 1f439 hamster, 1f430 rabbit, 1f98a fox, 1f43b bear,
        1f43c panda, 1f428 koala, 1f42f tiger, 1f981 lion, 1f42e cow, 1f437 pig, 1f438 frog,
        1f435 monkey, 1f414 chicken, 1f427 penguin, 1f986 duck, 1f985 eagle, 1f989 owl,
        1f987 bat, 1f984 unicorn, 1f41d bee, 1f98b butterfly, 1f40c snail, 1f41e ladybird,
        1f422 turtle, 1f419 octopus, 1f980 crab, 1f420 fish, 1f42c dolphin, 1f433 whale,
        1f40a crocodile, 1f418 elephant, 1f42a camel""",
    "food": """
        1f34e apple, 1f350 pear, 1f34a orange, 1f34b lemon, 1f34c banana, 1f349 watermelon,
        1f347 grapes, 1f353 strawberry, 1f352 cherries, 1f351 peach, 1f34d pineapple,
        1f95d kiwi, 1f345 tomato, 1f346 aubergine, 1f951 avocado, 1f955 carrot, 1f33d corn,
        1f344 mushroom, 1f35e bread, 1f950 croissant, 1f9c0 cheese, 1f354 hamburger,
        1f355 pizza, 1f32d hot dog, 1f32e taco, 1f366 ice cream, 1f369 doughnut, 1f36a biscuit,
        1f370 cake, 1f36d lollipop""",
    "vehicle": """
        1f697 car, 1f695 taxi, 1f68c bus, 1f693 police car, 1f691 ambulance, 1f692 fire engine,
        1f69c tractor, 1f69a truck, 1f6b2 bicycle, 1f3cd motorcycle, 1f6f5 scooter,
        1f682 locomotive, 1f680 rocket, 2708 aeroplane, 1f681 helicopter, 26f5 sailing boat,
        1f6a4 speedboat, 1f6a2 ship""",
    "thing": """
        1f334 palm tree, 1f332 fir tree, 1f335 cactus, 1f33b sunflower, 1f339 rose, 1f337 tulip,
        1f341 maple leaf, 1f3e0 house, 26fa tent, 2602 umbrella, 1f388 balloon, 1f381 gift,
        1f451 crown, 1f3a9 top hat, 1f45f shoe, 1f392 backpack, 1f453 glasses, 1f4f7 camera,
        1f4fa television, 1f4bb laptop, 231a watch, 23f0 alarm clock, 1f4a1 light bulb,
        1f511 key, 1f528 hammer, 1f52d telescope, 1f3b8 guitar, 1f3ba trumpet, 1f3bb violin,
        1f941 drum, 26bd football, 1f3c0 basketball, 1f3c6 trophy, 2615 coffee cup, 1f514 bell,
        1f48e diamond, 26c4 snowman, 1f47b ghost, 1f916 robot""",
}


def objects() -> list[dict[str, str]]:
    """The name, the group and the Unicode code point of every object."""
    entries = []
    for group, text in OBJECTS.items():
        for entry in text.split(","):
            code, name = entry.split(maxsplit=1)
            entries.append({"name": " ".join(name.split()), "group": group, "code": code})
    return entries


def held_out_style() -> str:
    """The style that is never trained on: the one whose name has the smallest SHA-256, so that
    nobody chose it.
    """
    return min(STYLES, key=lambda style: hashlib.sha256(style.encode()).hexdigest())


def load_image(style: str, code: str, folder: Path) -> Image.Image:
    """One object in one style, as published."""
    if style == "noto":
        font_file = next((folder / "noto").rglob("NotoColorEmoji.ttf"))
        font = ImageFont.truetype(str(font_file), 109)  # its only size
        image = Image.new("RGBA", (160, 160))
        ImageDraw.Draw(image).text((8, 8), chr(int(code, 16)), font=font, embedded_color=True)
        return image
    pattern = {
        "twemoji": "{}.svg",
        "fluent": "assets/{}.webp",
        "emojione": "png_512x512/{}.png",
    }[style]
    # with or without the variation selector that asks for a colour image
    names = (code, f"{code}-fe0f")
    path = next(path for name in names for path in (folder / style).rglob(pattern.format(name)))
    if path.suffix == ".svg":
        return Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_path=str(path), width=256))))
    return Image.open(path)


def make_tile(image: Image.Image) -> Image.Image:
    """The object, cropped to its visible pixels and centred on a tile; never enlarged."""
    image = image.convert("RGBA")
    visible = image.getchannel("A").point(lambda alpha: 255 * (alpha > 8))
    image = image.crop(visible.getbbox())
    scale = min(1.0, (TILE - 2 * MARGIN) / max(image.size))
    size = [max(1, round(side * scale)) for side in image.size]
    image = image.resize(size, Image.Resampling.LANCZOS)
    tile = Image.new("RGBA", (TILE, TILE))
    tile.paste(image, ((TILE - image.width) // 2, (TILE - image.height) // 2))
    return tile


if __name__ == "__main__":
    SPRITES.mkdir(exist_ok=True)
    entries, folder = objects(), Path(sys.argv[1])
    rows = -(-len(entries) // COLUMNS)
    for style in STYLES:
        sheet = Image.new("RGBA", (COLUMNS * TILE, rows * TILE))
        for index, entry in enumerate(entries):
            corner = (index % COLUMNS * TILE, index // COLUMNS * TILE)
            sheet.paste(make_tile(load_image(style, entry["code"], folder)), corner)
        sheet.save(SPRITES / f"{style}.webp", lossless=True, quality=100, method=6)
    contents = {
        "tile": TILE,
        "columns": COLUMNS,
        "styles": [style for style in STYLES if style != held_out_style()],
        "held_out_style": held_out_style(),
        "objects": entries,
    }
    (SPRITES / "sprites.json").write_text(json.dumps(contents, indent=1) + "\n")
    megabytes = sum(path.stat().st_size for path in SPRITES.iterdir()) / 1e6
    print(f"{len(entries)} objects, {megabytes:.2f} MB in {SPRITES}")
    print("now run: python -m course_lib.assets.checksums")
