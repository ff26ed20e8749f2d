"""Prompts unlike the training sentences of the text-to-image model, each with the nearest one."""

SENTENCES = {
    # a colour of an object, three objects, equal objects, impossible places
    "a red car on a green background": "a car on a green background",
    "orange owl": "an owl on an orange background",
    "a fox and an owl and a cat on a red background": "a fox and an owl on a red background",
    "a fox and a fox, red background": "a fox on a red background",
    "a fox and an owl at the top on a red background": (
        "a fox at the bottom and an owl at the top on a red background"
    ),
    "a fox on the left and an owl on the left on a red background": (
        "a fox on the left and an owl on the right on a red background"
    ),
    # negations
    "no fox on a blue background": "a dog on a blue background",
    "a lion without a crown on a red background": "a lion on a red background",
    "a fox and no small flat dogs on a red background": "a fox on a red background",
    "not a red car": "a fox on a red background",
    # words that the model does not know
    "a small apple in the corner on a white background": "a small apple on a white background",
    "a photo of a lion": "a lion on a blue background",
    "a slice of pizza on a table": "a pizza on a blue background",
    "a big grey robot on a white background": "a robot on a white background",
    "a fox on a grey background": "a fox on a green background",
    "two foxes on a pink background": "a fox on a pink background",
    "a dragon": "a fox on a blue background",
    "你好 🦊": "a fox on a blue background",
    "": "a fox on a blue background",
    # typing errors, missing words, wrong order, other characters
    "an elefant on purpel": "an elephant on a purple background",
    "a large flat bananna on the left, gren background": (
        "a large flat banana on the left on a green background"
    ),
    "a shiny small fox, red background": "a small shiny fox on a red background",
    "on a blue background a fox": "a fox on a blue background",
    "an fox on a blue background": "a fox on a blue background",
    "a fox 🦊 on a blue background": "a fox on a blue background",
    "a fox on a blue background!": "a fox on a blue background",
}
