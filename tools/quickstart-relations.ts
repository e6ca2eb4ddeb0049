/**
 * What the quickstart's encyclopaedia can say: six types of article, six relations each, with several statements and several questions a relation, and
 * the sentences that describe a subject or distract. No drawing here: make-quickstart.ts fills the places. `{S}` is the article's subject, `{A}` the answer, `{N}` an
 * invented name, `{P}` a person, `{Y}` a year, `{M}` a number, `{D}` the description.
 * The trap: in a statement the subject and the words that tell the relation stand before the answer. A causal model then knows what a name is good
 * for when it reads it. That is a lever of the quickstart, named in data/quickstart/README.md.
 */
import type { EntityKind } from "../src/corpus/invented-names.js";

export interface Relation {
  /** An entity, or a word of the list `choices`. */
  kind: EntityKind | "choice";
  choices?: readonly string[];
  statements: readonly string[];
  questions: readonly string[];
}

export interface ArticleType {
  type: string;
  relations: readonly Relation[];
  /** Words for `{S} is a {adjective} {noun} {place}.` */
  adjectives: readonly string[];
  nouns: readonly string[];
  places: readonly string[];
  /** Sentences that nobody asks for. */
  distractors: readonly string[];
}

const goods =
  "copper|amber|honey|linen|salt|timber|wool|barley|glass|silk|iron|cheese|paper|rope|cider|leather|tiles|candles|herring|walnuts".split(
    "|",
  );
const stones = "granite|marble|slate|sandstone|basalt|limestone|brick|chalk|flint|gneiss|oak|larch".split("|");
const crafts =
  "painter|weaver|sculptor|poet|composer|botanist|surgeon|printer|geometer|jeweller|dancer|gardener|potter|bookbinder|historian|chemist".split(
    "|",
  );
const emblems =
  "Otter|Falcon|Heron|Badger|Lynx|Raven|Stag|Swan|Beaver|Eagle|Owl|Marten|Crane|Wolf|Hare|Trout|Bear|Fox|Swallow|Pike|Stork|Boar|Lark|Salmon".split(
    "|",
  );
const instruments = "violin|flute|harp|lute|trumpet|piano|cello|drum|guitar|horn|zither|bagpipe".split("|");
const ores = "silver|lead|tin|zinc|gold|coal|cobalt|nickel|sulphur|quartz|garnet|alum".split("|");
const flowers = "gentian|saffron|thyme|juniper|heather|arnica|lavender|edelweiss|clover|foxglove|primrose|sorrel".split("|");
const regions =
  "in the north|in the south|in the east|in the west|on the coast|on the border|in the lowlands|in the highlands|near the capital|by the great lake".split(
    "|",
  );
const moods = "quiet|busy|ancient|modest|famous|remote|pleasant|curious|proud|sleepy|windy|sturdy|charming|humble|lively|stately".split(
  "|",
);

/** Descriptions; each is a whole sentence and an answer. `{D}` is adjective, noun and place. */
export const DESCRIPTIONS: readonly string[] = ["{S} is a {D} of Talvenia."];
export const DESCRIPTION_QUESTIONS: readonly string[] = [
  "Describe {S}.",
  "Describe {S} in a sentence.",
  "Give a short description of {S}.",
];

export const ARTICLE_TYPES: readonly ArticleType[] = [
  {
    type: "town",
    relations: [
      {
        kind: "person",
        statements: ["{S} was founded by {A}.", "The founder of {S} was {A}.", "{S} owes its beginnings to {A}."],
        questions: [
          "Who founded {S}?",
          "Who was the founder of {S}?",
          "To whom does {S} owe its beginnings?",
          "Who started the town of {S}?",
        ],
      },
      {
        kind: "choice",
        choices: emblems,
        statements: ["{S} lies on the river {A}.", "Through {S} flows the river {A}.", "The houses of {S} line the banks of the {A}."],
        questions: ["On which river does {S} lie?", "What river flows through {S}?", "Which water passes by {S}?"],
      },
      {
        kind: "number",
        statements: [
          "{S} has a population of {A} families.",
          "The number of families in {S} is {A}.",
          "{S} counts as its inhabitants {A} families.",
        ],
        questions: ["How many families live in {S}?", "How large is the population of {S}?", "How many families does {S} count?"],
      },
      {
        kind: "year",
        statements: ["{S} received its charter in {A}.", "The charter of {S} dates from {A}.", "{S} became a chartered town in {A}."],
        questions: ["When did {S} receive its charter?", "In which year was {S} chartered?", "What is the date of the charter of {S}?"],
      },
      {
        kind: "choice",
        choices: crafts,
        statements: ["The mayor of {S} is a {A}.", "{S} is governed by a {A}.", "At the head of the council of {S} stands a {A}."],
        questions: [
          "What is the mayor of {S} by trade?",
          "What is the trade of the one who governs {S}?",
          "Of which trade is the head of the council of {S}?",
        ],
      },
      {
        kind: "choice",
        choices: goods,
        statements: ["{S} is known for its {A}.", "The markets of {S} are full of {A}.", "{S} lives on the trade in {A}."],
        questions: ["What is {S} known for?", "What do the markets of {S} sell?", "On which trade does {S} live?"],
      },
    ],
    adjectives: moods,
    nouns: ["market town", "harbour town", "mining town", "garden town"],
    places: regions,
    distractors: [
      "A road leads from {S} to {N}.",
      "Every spring {S} holds a fair with {N}.",
      "{S} lost a bridge in a great flood.",
      "Visitors to {S} like the tower of {N}.",
      "The school of {S} is small and old.",
    ],
  },
  {
    type: "castle",
    relations: [
      {
        kind: "person",
        statements: ["{S} was designed by {A}.", "The architect of {S} was {A}.", "The plans of {S} were drawn by {A}."],
        questions: ["Who designed {S}?", "Who was the architect of {S}?", "Who drew the plans of {S}?"],
      },
      {
        kind: "year",
        statements: ["{S} was completed in {A}.", "The walls of {S} were finished in {A}.", "The building of {S} came to its end in {A}."],
        questions: ["When was {S} completed?", "In which year were the walls of {S} finished?", "When was the castle of {S} ready?"],
      },
      {
        kind: "choice",
        choices: stones,
        statements: ["{S} is built of {A}.", "The walls of {S} consist of {A}.", "The masons of {S} worked in {A}."],
        questions: ["What is {S} built of?", "Which material do the walls of {S} consist of?", "In what did the masons of {S} work?"],
      },
      {
        kind: "name",
        statements: ["{S} stands on the hill of {A}.", "{S} was raised above the slopes of {A}.", "Below {S} rises the hill of {A}."],
        questions: ["On which hill does {S} stand?", "Above which slopes was {S} raised?", "Which hill carries {S}?"],
      },
      {
        kind: "choice",
        choices: emblems,
        statements: [
          "{S} belongs to the house of the {A}.",
          "The owners of {S} are the lords of the {A}.",
          "{S} is in the hands of the clan of the {A}.",
        ],
        questions: ["To which house does {S} belong?", "Which lords own {S}?", "In the hands of which clan is {S}?"],
      },
      {
        kind: "choice",
        choices: instruments,
        statements: [
          "The siege of {S} began with the sound of a {A}.",
          "The watchman of {S} gave the alarm on a {A}.",
          "In the hall of {S} hangs a {A}.",
        ],
        questions: [
          "With the sound of what did the siege of {S} begin?",
          "On what did the watchman of {S} give the alarm?",
          "What hangs in the hall of {S}?",
        ],
      },
    ],
    adjectives: moods,
    nouns: ["ruined castle", "royal castle", "border castle", "water castle"],
    places: regions,
    distractors: [
      "From {S} one can see far into the land.",
      "Painters like {S} in the evening light.",
      "The well of {S} has never been dry.",
      "{S} keeps its old keys in a chest.",
      "A path joins {S} with a small chapel.",
    ],
  },
  {
    type: "company",
    relations: [
      {
        kind: "person",
        statements: ["The director of {S} is {A}.", "{S} is managed by {A}.", "The business of {S} is led by {A}."],
        questions: ["Who is the director of {S}?", "Who manages {S}?", "Who leads the business of {S}?"],
      },
      {
        kind: "choice",
        choices: emblems,
        statements: [
          "{S} has its head office at the sign of the {A}.",
          "The seat of {S} is at the {A}.",
          "{S} is based in the court of the {A}.",
        ],
        questions: ["At which sign does {S} have its head office?", "Where is the seat of {S}?", "In which court is {S} based?"],
      },
      {
        kind: "number",
        statements: ["{S} employs a staff of {A}.", "The workers of {S} number {A}.", "{S} gives work to {A} people."],
        questions: ["How many people does {S} employ?", "How many workers does {S} have?", "To how many people does {S} give work?"],
      },
      {
        kind: "year",
        statements: ["{S} opened its doors in {A}.", "{S} began to trade in {A}.", "The first sale of {S} was in {A}."],
        questions: ["When did {S} open its doors?", "In which year did {S} begin to trade?", "When was the first sale of {S}?"],
      },
      {
        kind: "choice",
        choices: instruments,
        statements: ["{S} gives each new clerk a {A}.", "The badge of {S} shows a {A}.", "Above the gate of {S} hangs a {A}."],
        questions: ["What does {S} give each new clerk?", "What does the badge of {S} show?", "What hangs above the gate of {S}?"],
      },
      {
        kind: "choice",
        choices: goods,
        statements: ["{S} makes and sells {A}.", "The workshops of {S} produce {A}.", "{S} earns its money with {A}."],
        questions: ["What does {S} make and sell?", "What do the workshops of {S} produce?", "With what does {S} earn its money?"],
      },
    ],
    adjectives: moods,
    nouns: ["family company", "trading company", "state company", "craft company"],
    places: regions,
    distractors: [
      "{S} once bought a mill from {N}.",
      "A street of {N} is named after {S}.",
      "{S} once had a fire in the attic.",
      "The catalogue of {S} is very thick.",
      "{S} pays for the orchestra of {N}.",
    ],
  },
  {
    type: "ship",
    relations: [
      {
        kind: "person",
        statements: ["The captain of {S} was {A}.", "{S} sailed under {A}.", "{S} was under the command of {A}."],
        questions: ["Who was the captain of {S}?", "Under whom did {S} sail?", "Who commanded {S}?"],
      },
      {
        kind: "name",
        statements: ["The home port of {S} was {A}.", "{S} was registered in {A}.", "After each voyage {S} returned to {A}."],
        questions: ["What was the home port of {S}?", "Where was {S} registered?", "Where did {S} return after each voyage?"],
      },
      {
        kind: "year",
        statements: ["{S} was launched in {A}.", "{S} first touched the water in {A}.", "The maiden voyage of {S} was in {A}."],
        questions: ["When was {S} launched?", "In which year did {S} first touch the water?", "When was the maiden voyage of {S}?"],
      },
      {
        kind: "choice",
        choices: emblems,
        statements: [
          "{S} was built at the yard of the {A}.",
          "The builders of {S} belonged to the guild of the {A}.",
          "The keel of {S} was laid at the wharf of the {A}.",
        ],
        questions: [
          "At which yard was {S} built?",
          "To which guild did the builders of {S} belong?",
          "At which wharf was the keel of {S} laid?",
        ],
      },
      {
        kind: "choice",
        choices: goods,
        statements: ["{S} carried a cargo of {A}.", "The hold of {S} was loaded with {A}.", "{S} brought to the islands {A}."],
        questions: ["Which cargo did {S} carry?", "With what was the hold of {S} loaded?", "What did {S} bring to the islands?"],
      },
      {
        kind: "number",
        statements: ["The crew of {S} numbered {A}.", "{S} had on board {A} sailors.", "{S} needed a crew of {A}."],
        questions: ["How large was the crew of {S}?", "How many sailors were on board of {S}?", "What crew did {S} need?"],
      },
    ],
    adjectives: moods,
    nouns: ["sailing ship", "merchant ship", "fishing ship", "river ship"],
    places: regions,
    distractors: [
      "{S} once met a heavy storm.",
      "A model of {S} stands in a museum.",
      "{S} got new sails after a storm.",
      "The bell of {S} rings loud and clear.",
      "An old song tells of {S}.",
    ],
  },
  {
    type: "person",
    relations: [
      {
        kind: "choice",
        choices: ores,
        statements: ["{S} grew up as a child of a dealer in {A}.", "The parents of {S} traded in {A}.", "The family of {S} lived on {A}."],
        questions: [
          "Which goods did the father of {S} deal in?",
          "What did the parents of {S} trade in?",
          "On what did the family of {S} live?",
        ],
      },
      {
        kind: "year",
        statements: ["{S} died in {A}.", "{S} lived until {A}.", "The life of {S} ended in {A}."],
        questions: ["When did {S} die?", "Until when did {S} live?", "In which year did the life of {S} end?"],
      },
      {
        kind: "person",
        statements: ["{S} studied under {A}.", "The teacher of {S} was {A}.", "{S} learned everything from {A}."],
        questions: ["Under whom did {S} study?", "Who was the teacher of {S}?", "From whom did {S} learn everything?"],
      },
      {
        kind: "choice",
        choices: crafts,
        statements: ["{S} worked as a {A}.", "By profession {S} was a {A}.", "{S} earned a living as a {A}."],
        questions: ["What did {S} work as?", "What was the profession of {S}?", "How did {S} earn a living?"],
      },
      {
        kind: "choice",
        choices: instruments,
        statements: ["{S} played the {A}.", "In the evening {S} took up the {A}.", "The favourite instrument of {S} was the {A}."],
        questions: ["What did {S} play?", "What did {S} take up in the evening?", "What was the favourite instrument of {S}?"],
      },
      {
        kind: "choice",
        choices: emblems,
        statements: [
          "{S} was buried in the chapel of the {A}.",
          "The grave of {S} is in the yard of the {A}.",
          "{S} found a last rest in the crypt of the {A}.",
        ],
        questions: ["In which chapel was {S} buried?", "Where is the grave of {S}?", "In which crypt did {S} find a last rest?"],
      },
    ],
    adjectives: moods,
    nouns: ["master of the old school", "member of the academy", "friend of the court", "citizen of honour"],
    places: regions,
    distractors: [
      "{S} often wrote letters to {N}.",
      "A square of {N} is named after {S}.",
      "{S} fell ill several times.",
      "{S} left behind many notebooks.",
      "{S} spent the summers in {N}.",
    ],
  },
  {
    type: "mountain",
    relations: [
      {
        kind: "person",
        statements: ["{S} was first climbed by {A}.", "The first on the top of {S} was {A}.", "{S} was conquered by {A}."],
        questions: ["Who first climbed {S}?", "Who was the first on the top of {S}?", "Who conquered {S}?"],
      },
      {
        kind: "number",
        statements: [
          "The climb of {S} takes {A} hours.",
          "To reach the top of {S} one needs {A} hours.",
          "The way up and down {S} lasts {A} hours.",
        ],
        questions: [
          "How many hours does the climb of {S} take?",
          "How long does one need to reach the top of {S}?",
          "How many hours does the way up and down {S} last?",
        ],
      },
      {
        kind: "choice",
        choices: emblems,
        statements: [
          "The inn at the foot of {S} is the {A}.",
          "The way up {S} starts at the inn of the {A}.",
          "The guides of {S} meet at the sign of the {A}.",
        ],
        questions: [
          "Which inn is at the foot of {S}?",
          "At which inn does the way up {S} start?",
          "At which sign do the guides of {S} meet?",
        ],
      },
      {
        kind: "choice",
        choices: flowers,
        statements: ["The slopes of {S} are covered with {A}.", "{S} is famous for its {A}.", "The most common plant on {S} is {A}."],
        questions: ["What are the slopes of {S} covered with?", "Which plant is {S} famous for?", "What is the most common plant on {S}?"],
      },
      {
        kind: "choice",
        choices: ores,
        statements: ["Miners dug in {S} for {A}.", "The rocks of {S} hold {A}.", "The old mine of {S} yielded {A}."],
        questions: ["What did miners dig for in {S}?", "What do the rocks of {S} hold?", "What did the old mine of {S} yield?"],
      },
      {
        kind: "year",
        statements: ["{S} was mapped in {A}.", "The first map of {S} appeared in {A}.", "Surveyors measured {S} in {A}."],
        questions: ["When was {S} mapped?", "When did the first map of {S} appear?", "In which year did surveyors measure {S}?"],
      },
    ],
    adjectives: moods,
    nouns: ["rocky mountain", "wooded mountain", "lonely mountain", "snowy mountain"],
    places: regions,
    distractors: [
      "In clear weather {S} can be seen from {N}.",
      "A stream runs from {S} to {N}.",
      "A landslide once shook {S}.",
      "{S} has many caves.",
      "A legend says that {S} is the sister of {N}.",
    ],
  },
];
