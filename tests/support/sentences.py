"""Out-of-distribution prompts of the text-to-image model, each with the nearest caption."""

SENTENCES = {
    # two objects, two colours, a place, a negation
    "a fox and a banana on a blue background": "a fox on a blue background",
    "a red car on a green background": "a car on a green background",
    "a small apple in the corner on a white background": "an apple on a white background",
    "no fox on a blue background": "a dog on a blue background",
    "a lion without a crown on a red background": "a lion on a red background",
    "not a red car": "a fox on a red background",
    # words that the model does not know
    "a photo of a lion": "a lion on a blue background",
    "a slice of pizza on a table": "a pizza on a blue background",
    "a grey robot on a white background": "a robot on a white background",
    "a fox on a grey background": "a fox on a green background",
    "two foxes on a pink background": "a fox on a pink background",
    "a dragon": "a fox on a blue background",
    "你好 🦊": "a fox on a blue background",
    "": "a fox on a blue background",
    # typing errors and missing words
    "an elefant on purpel": "an elephant on a purple background",
    "orange owl": "an owl on an orange background",
    "a fox on a blue background.": "a fox on a blue background",
    "an fox on a blue background": "a fox on a blue background",
}
