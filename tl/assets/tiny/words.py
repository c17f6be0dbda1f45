"""Word lists from which the corpus builds its text: everyday words only, none of them the name of a tool."""


def words_of(text: str) -> list[str]:
    return text.split()


def rows_of(text: str) -> list[list[list[str]]]:
    """A table, one row a line: cells between bars, and in each cell the alternatives between slashes."""
    return [[cell.strip().split("/") for cell in row.split("|")] for row in text.strip().splitlines()]


NOUNS = words_of("""
acorn anchor antler apron arch armchair attic awning axle badge ballad balloon bamboo banjo banner barge barn barrel
basin basket bead beaver beehive bell bellows bench berry birch blanket blossom boat bobbin bonfire bonnet boot
bracelet bramble brick bridge bridle bronze brook broom brush bucket buckle buffalo buoy burrow bush button cabin
cabinet cactus camel candle canoe canvas canyon cape caravan carpet cart carving castle cauldron cave cedar cellar
chain chalk chandelier cheese chest chimney chisel cider clarinet cliff cloak clover coach cobble cocoon compass
copper coral cork costume cottage cradle crane crate creek cricket crown crystal cupboard curtain dagger daisy deer
desk dome donkey dove dragon drawer drum dune eagle easel elm ember emerald engine fabric falcon feather fence fern
ferry fiddle fig fjord flagpole flask fleece flint flute forge fossil fountain fox frame furnace garland gate gazebo
geyser glacier glove goat goblet goose granite grape grove guitar gull hammer hammock harbor harness harp hatchet hawk
hazel hedge helmet heron hive honey hoof horn hut icicle igloo ink inn island ivory ivy jar jasmine jewel jug juniper
kayak kennel kettle kiln kite knot ladder ladle lagoon lamb lantern lark lasso lattice laurel lavender leaf ledge
lemon lens lever lichen lighthouse lilac lime linen lizard loaf loft loom lute magnet mallet mango mansion mantle
maple marble marsh mast meadow medal melon mill mirror mitten moat mole moose mosaic moss moth mug mule mural mushroom
needle nest net nettle newt oak oar oasis oboe olive onion orchard orchid otter oven owl ox paddle padlock palace pan
parrot pasture paw peach pear pearl pebble pelican penguin pepper perch petal piano pier pigeon pillar pillow pine
pipe pitcher plank plough plum pocket pond pony poplar porch potter prism puffin pulley pump pumpkin puppet quarry
quill quilt rabbit raft rake ram raven reef ribbon ridge robin rocket roof rope rose rudder rug saddle sail salmon
sapling satchel saw scarf scarecrow scroll sculpture seal seed shawl shed sheep shelf shell shield shovel shrub silk
skate sled slipper sloop snail snowman sock sofa sparrow spear spindle spoon spruce squirrel stable stage staircase
stamp starling statue stool stove straw stream submarine sundial swan sword tapestry teapot tent terrace thimble
thistle throne thunder tile timber toad tower tractor trail treasure trellis trophy trout trumpet trunk tulip tunnel
turbine turtle umbrella urn valley vase vault veil velvet vest vine violet violin wagon walnut walrus wand waterfall
weasel well whale wharf wheat wheel whistle wick willow windmill wolf wren yarn yoke zebra
""")

ADJECTIVES = words_of("""
amber ancient blue bold brass brave bright brisk broad broken brown calm cheap clean clear coarse cold crimson crooked
curious curved dark deep distant double dry dusty eager early empty faded fair famous fast faint final fine firm flat
fresh gentle giant glass gold golden grand gray great green happy hard heavy hidden high hollow humble icy idle inner
iron large late lazy light little local lonely long loose loud low lucky main mild misty modern narrow neat new noble
northern odd old open orange outer pale perfect pink plain polished proud pure purple quick quiet rapid rare raw red
rich ripe rough round royal rusty sacred safe salty scarlet second secret shallow sharp shiny short shy silent silver
simple single sleepy slim slow small smooth soft solid southern spare special square steady steep still stone strange
striped strong sunny sweet swift tall tame teal tender thick thin tiny upper useful vast velvety warm weak wet white
whole wide wild windy wise wooden yellow young
""")

COLORS = words_of("""
red orange yellow green blue purple pink brown black white gray teal crimson amber gold silver navy olive maroon
violet turquoise beige scarlet lilac
""")

# What ordinary sentences, titles and notes are made of.
COMMON = words_of("""
able about above accept account across act action active add address advice afraid after again age agree air album
alert all almost alone along already also although always among amount and anger animal another answer any apple april
area arm around arrive art article ask aunt author autumn available average away baby back bad bag balance ball bank
base basic bath beach beautiful because bed before begin behind believe below best better between big bill bird
birthday black blood board body book border boring born boss both bottom box boy brain bread break breakfast breath
brother budget build building bus business busy but buy cake call camera can car card care carry case cash cat catch
category cause cell center central chair chance change channel chapter charge chart check chicken child choice choose
church circle city class clock close cloth cloud club coat code coffee collect college color come common company
complete computer condition connect consider contact contain content continue contract control cook cool copy corner
correct cost could count country couple course cover create credit cross crowd cry cup current cut daily damage dance
danger data date daughter day dead deal dear december decide delay deliver demand department describe design detail
develop device diet difference different difficult dinner direct direction discover discuss disk distance doctor
document dog dollar door down draft draw dream dress drink drive drop due during duty each ear earth east easy eat
edge education effect effort egg eight either electric else email employee end energy enjoy enough enter equal error
escape euro even evening event ever every exact example excellent except exchange exercise expect expensive experience
explain extra eye face fact fail fall false family far farm fashion father favorite fear feature february feel few
field fifteen fifty fight file fill film find finish fire first fish fit five fix floor flower fly folder follow food
foot football for force foreign forest forget form forty forward four free friday friend from front fruit full fun
future game garden gas general get gift girl give glad go goal good grade grass ground group grow guess guest
guide hair half hall hand happen hat have head health hear heart heat hello help here history hit hobby hold hole
holiday home hope horse hospital hot hotel hour house how human hundred hungry husband idea if image important improve
in include increase index industry information inside interest internet into invite invoice it item january job join
journey july jump june just keep key kind king kitchen know lake land language laptop last laugh law lead learn least
leave left leg lesson let letter level library lie life lift like limit line link list listen lock look lose lot love
luck lunch machine mail make man manager many map march mark market match material matter may maybe meal mean measure
meat medicine meet meeting member memory mention menu message metal method middle midnight milk million mind minute
miss mistake mix model moment monday money month moon more morning most mother mountain mouth move movie much museum
music must name nation nature near necessary neck need network never news newspaper next nice night nine no noise none
noon north not note nothing notice november now number object ocean october of off offer office often oil on once one
only open opinion or order other our out over own owner package page pain pair paper parent park part partner
party pass past path pay peace pen people percent perhaps period person pet phone photo pick picture piece place plan
plane plant plate play please point police poor popular population position possible post pound power practice prefer
prepare present president press pretty price print private problem process product profile program project promise
proof provide public pull purpose push put quality quarter queen question quite race radio rain raise range rate
rather reach read ready real reason receive recent record recipe reduce region relax release remain remember remind
rent repeat reply report request rest restaurant result return review rice ride right ring river road rock role room
root row rule run sad sale salt same sand saturday save say school science score screen sea search season seat section
see sell send sentence september serve service set seven several shape share she ship shirt shoe shop should shoulder
show shower side sign signal since sing sister sit six size skill skin sky sleep snow social soil some son song soon
sound soup source south space speak speed spend sport spring staff stand standard star start state station status stay
steel step stock stop store storm story street student study style subject success such sugar suggest summer sun
sunday supply support sure surface surprise table take talk task taste tax teach team telephone television ten
term test text thank that the theater then there they thing think third thirty this thousand three through thursday
ticket time tired title to today together tomorrow tonight too tool tooth top topic total touch tour toward town track
trade traffic train travel tree trip trouble true trust try tuesday turn twelve twenty two type uncle under understand
unit until up update urgent usual vacation value vegetable version very video view village visit voice wait walk wall
want war wash watch water wave way we weather website wednesday week weekend weight welcome west what when where which
while who why wife will win wind window winter wish with within without woman wonder wood word work world worry worth
write wrong year yes yesterday yet you
""")

FIRST_NAMES = words_of("""
Ada Agnes Aldo Alma Amir Anton Arlo Astrid Beatrix Benno Bruno Carla Cedric Chiara Clara Conrad Dalia Dario Desmond
Edith Elio Elsa Emil Enid Esme Farid Felix Fiona Flora Freya Gideon Greta Gustav Hana Hector Hilda Hugo Ida Ines
Ingrid Iris Ivan Jasper Joan Jonas Judith Kai Kamal Karin Kofi Lars Leila Leo Liam Lola Lucia Mabel Magda Malik Marco
Marta Mila Milo Mira Nadia Nils Noah Nora Olga Omar Oscar Otto Paolo Petra Pia Quentin Rafael Rania Rosa Ruben Runa
Sami Selma Silas Sofia Stella Sven Tamar Tara Theo Tobias Una Ursula Vera Viktor Wanda Wilma Xenia Yara Yusuf Zeno
Zora
""")

SYLLABLES = words_of("""
ba bel bor bra cal car cor da dal den dor el en fal far fen gal gar gor hal hem hol is jar jo ka kel kin kor la lan
lem lin lor ma mar men mir mo na nel nor ol or pa pel por qua ra rel rin ros sa sel sha sto ta tel tha tor tri ul un
va vel vi wen win xa yor za zel zil
""")

TOWN_ENDINGS = words_of("ton ville berg ford mouth field port stad burg haven dale wick by ham brook minster")
