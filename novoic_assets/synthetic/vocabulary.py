"""The words of the sample conversations, in which a patient describes an everyday scene for an investigator.

Lists of words go from the most to the least usual, because a narrow vocabulary keeps to the front of a list. The words
in braces are the slots of a template, which the conversation fills.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scene:
    """One picture to describe.

    Attributes:
        women: Singular nouns for women and girls, usual ones first.
        men: Singular nouns for men and boys, usual ones first.
        things: Singular countable nouns, usual ones first.
        places: Phrases that say where, usual ones first.
        doing: Participles with an object ("washing"), usual ones first.
        acting: Participles without an object ("laughing"), usual ones first.
    """

    women: tuple[str, ...]
    men: tuple[str, ...]
    things: tuple[str, ...]
    places: tuple[str, ...]
    doing: tuple[str, ...]
    acting: tuple[str, ...]


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(phrase.strip() for phrase in text.split(","))


SCENES = (
    Scene(  # a kitchen on a busy morning
        women=_phrases("woman, girl, mother, lady, grandmother, daughter, cook, neighbour"),
        men=_phrases("man, boy, father, son, baker, grandfather, plumber, uncle"),
        things=_phrases(
            "cup, plate, bowl, table, pan, spoon, kettle, apron, towel, cupboard, basket, candle, saucepan, teapot, "
            "toaster, cake, lemon, ladle, shelf, drawer, jug, recipe, calendar, stool"
        ),
        places=_phrases(
            "on the table, by the window, near the stove, in the kitchen, behind the door, under the chair, "
            "beside the oven, above the counter"
        ),
        doing=_phrases("holding, washing, drying, filling, stirring, baking, wiping, peeling, polishing, tasting"),
        acting=_phrases("standing, cooking, laughing, singing, waiting, humming, stretching, sneezing"),
    ),
    Scene(  # a garden in spring
        women=_phrases("woman, girl, lady, mother, sister, aunt, gardener, visitor"),
        men=_phrases("man, boy, brother, father, farmer, child, painter, postman"),
        things=_phrases(
            "tree, flower, spade, bucket, fence, ladder, rose, hedge, wheelbarrow, rake, greenhouse, tulip, pond, "
            "bench, gate, hose, sparrow, butterfly, rabbit, pumpkin, tomato, nest, scarecrow, sundial"
        ),
        places=_phrases(
            "on the grass, under the tree, near the gate, by the pond, behind the shed, along the path, "
            "against the wall, between the bushes"
        ),
        doing=_phrases(
            "carrying, watering, planting, digging, picking, trimming, mending, painting, admiring, pruning"
        ),
        acting=_phrases("kneeling, resting, playing, digging, whistling, crouching, yawning, wandering"),
    ),
    Scene(  # a market square
        women=_phrases("woman, lady, girl, customer, nurse, florist, shopper, tourist"),
        men=_phrases("man, boy, seller, butcher, policeman, student, musician, fisherman"),
        things=_phrases(
            "bag, apple, box, stall, basket, bottle, coin, cabbage, umbrella, barrel, scale, melon, cheese, "
            "scarf, fountain, lantern, awning, pigeon, guitar, ribbon, carpet, statue, banner, onion"
        ),
        places=_phrases(
            "in the square, at the stall, near the fountain, beside the church, across the street, on the corner, "
            "under the awning, outside the bakery"
        ),
        doing=_phrases(
            "buying, selling, carrying, weighing, choosing, wrapping, counting, arranging, offering, sniffing"
        ),
        acting=_phrases("shopping, talking, shouting, walking, dancing, bargaining, smiling, hurrying"),
    ),
    Scene(  # a day at the seaside
        women=_phrases("woman, girl, mother, swimmer, lady, teacher, sailor, cousin"),
        men=_phrases("man, boy, father, lifeguard, captain, surfer, friend, nephew"),
        things=_phrases(
            "boat, ball, towel, shell, wave, bucket, castle, kite, umbrella, anchor, lighthouse, crab, sandwich, "
            "hammock, paddle, blanket, camera, pebble, seagull, island, harbour, raft, starfish, telescope"
        ),
        places=_phrases(
            "on the beach, in the water, near the rocks, by the pier, under the umbrella, along the shore, "
            "behind the dunes, beyond the harbour"
        ),
        doing=_phrases("throwing, building, holding, catching, rowing, collecting, folding, burying, steering, flying"),
        acting=_phrases("swimming, running, sleeping, splashing, floating, diving, paddling, sunbathing"),
    ),
    Scene(  # a railway station
        women=_phrases("woman, girl, lady, passenger, driver, doctor, traveller, waitress"),
        men=_phrases("man, boy, guard, porter, soldier, conductor, cyclist, cleaner"),
        things=_phrases(
            "train, bag, ticket, clock, suitcase, newspaper, bicycle, sign, platform, trolley, timetable, carriage, "
            "whistle, engine, sandwich, bridge, signal, poster, violin, parcel, telephone, backpack, tunnel, wagon"
        ),
        places=_phrases(
            "on the platform, at the station, near the stairs, by the entrance, inside the carriage, under the clock, "
            "beside the rails, behind the kiosk"
        ),
        doing=_phrases("pulling, lifting, reading, pushing, losing, checking, dropping, loading, stamping, dragging"),
        acting=_phrases("waiting, sitting, running, arriving, waving, queueing, leaving, dozing"),
    ),
    Scene(  # a schoolroom
        women=_phrases("woman, girl, teacher, pupil, lady, librarian, artist, headmistress"),
        men=_phrases("man, boy, teacher, student, caretaker, clown, inventor, janitor"),
        things=_phrases(
            "book, pencil, desk, picture, chair, map, ruler, globe, blackboard, notebook, crayon, satchel, drum, "
            "puzzle, puppet, aquarium, microscope, trumpet, dinosaur, magnet, compass, envelope, mirror, hamster"
        ),
        places=_phrases(
            "at the desk, on the floor, near the blackboard, by the bookcase, in the corner, beside the radiator, "
            "behind the curtain, along the corridor"
        ),
        doing=_phrases("drawing, reading, showing, opening, sharing, copying, measuring, gluing, erasing, sharpening"),
        acting=_phrases("sitting, writing, listening, whispering, learning, giggling, daydreaming, arguing"),
    ),
)

ADJECTIVES = _phrases(
    "big, little, old, red, blue, white, new, round, heavy, green, empty, wooden, yellow, bright, broken, clean, "
    "striped, shiny, narrow, dusty, golden, crooked, enormous, delicate"
)
ADVERBS = _phrases("slowly, again, quietly, quickly, carefully, happily, together, patiently, eagerly, clumsily")

TEMPLATES = _phrases(
    "{person} is {doing} {thing}, "
    "{person} is {doing} {thing} {where}, "
    "{person} is {acting} {where}, "
    "{person} is {acting} {adverb}, "
    "there is {a_thing} {where}, "
    "i can see {a_thing} and {a_thing}, "
    "i see {a_thing} {where}, "
    "{opener} {person} is {doing} {a_thing}, "
    "{opener} there is {a_thing} next to {thing}, "
    "{person} is {acting} because {person} is {doing} {thing}, "
    "{person} looks at {thing} while {person} is {acting}, "
    "{person} has {a_thing} and is {doing} {thing}, "
    "{thing} is {where}, "
    "{person} wants {a_thing} {where}, "
    "behind {thing} there is {a_thing}, "
    "it looks as if {person} is {acting} {adverb}, "
    "maybe {person} forgot {thing} {where}"
)
OPENERS = _phrases("and then, and, well, so, now, then, also, on the left, on the right, over here, in front")

VAGUE_THINGS = _phrases("the thing, something, that stuff, those things, this one, that one")
VAGUE_NEW_THINGS = _phrases("a thing, something, some stuff, one of those, some things")
VAGUE_PEOPLE = _phrases("somebody, someone, this person, that one")
VAGUE_PLACES = _phrases("there, here, over there, somewhere")
VAGUE_DOING = _phrases("doing, getting, having, using")
VAGUE_ACTING = _phrases("doing something, going, doing things")
THING_PRONOUNS = _phrases("it, that, this")
FILLERS = ("uh", "um")

PROMPTS = _phrases(
    "can you tell me what you see in this picture, "
    "what else is happening, "
    "is there anything else, "
    "and what about this side, "
    "can you tell me a little more, "
    "what are the people doing, "
    "where do you think they are, "
    "what do you notice in the background, "
    "how do you think they feel, "
    "what might happen next, "
    "have you ever been to a place like this, "
    "does it remind you of anything, "
    "what colours do you see, "
    "who is in the picture, "
    "could you describe that again, "
    "what is in the middle, "
    "which part do you like best, "
    "and up here at the top, "
    "why do you think so, "
    "what is the weather like"
)
BACKCHANNELS = _phrases("mhm, yes, okay, right, i see, good")
