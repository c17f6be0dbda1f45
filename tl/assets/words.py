"""Word lists from which `tl.assets.corpus` builds its text: everyday words only, none of them the name of a tool."""


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
ability able about above abroad absence accept access accident accord account accuracy achieve across act action active
adapt add addition address adult advance advantage adventure advert advice affect afford afraid after again age agenda
agent agree agreement aid aim air airline alarm album alert alike all allow almost alone along already also alter
although altogether always ambulance among amount analysis and anger angle animal announce annual another answer
anxious any anybody anyone anything apart apartment apologize appeal appear appearance appetite apple applicant
application apply appoint approach appropriate approve april architect area argue argument arm around arrange arrival
arrive art article artist aside ask assist assume assure atmosphere attach attempt attend attention attitude attract
audience aunt author automatic autumn available average avoid await awake aware away awful baby back background backup
bad bag baggage bake balance ball bandwidth bank bare barely bargain base basic bath battery battle beach bean bear
beat beautiful because become bed beer before begin behave behind believe belong below bend beneath benefit beside best
bet better between beyond bicycle big bill bind bird birth birthday bite bitter black blame blank blind blood blow
board body boil bold bone book boost border bore boring born borrow boss both bother bottle bottom bound bowl box boy
brain branch brand brave bread break breakfast breath breathe brick brief bright broad broadcast brother brush bubble
budget build building bunch burn burst bus business busy but butter buy buyer cable cake calculate call camera campaign
can cancel candidate capable capacity capital captain capture car card care career careful carpet carrot carry case
cash cast casual cat catch category cause ceiling celebrate cell center central century ceremony certain chain chair
champion chance change channel chapter character charge charity chart chase chat cheap cheat check cheek cheer chef
chemical chest chicken chief child chip choice choose church circle circumstance citizen city claim class classic
client climate climb clinic clock close closed closest cloth cloud cloudy club clue coast coat code coffee coin
collapse colleague collect college color column combination combine come comedy comfort command comment commercial
committee common communicate community company compare compete complain complete completed complex computer concentrate
concept concern concert conclude concrete condition conduct conference confidence confirm confuse connect connection
consequence conservation consider considerable consist constant construct consumer contact contain contemporary content
contest context continue contract contrast contribute control convenient conversation convert convince cook cool copy
copyright core corn corner corporate correct correspond cost cotton cough could council count counter country couple
courage course court cousin cover crash crazy cream create creation creative creature credit crew crime criminal crisis
criterion critic crop cross crowd crucial cruel cry culture cup cupboard cure curious currency current currently curve
custom customer cut cycle daily damage dance danger data database date daughter day dead deadline deaf deal dear debate
debt decade december decide declare decline decorate decrease deep defeat defend define definite degree delay delete
deliver delivered delivery demand dense dentist deny department departure depend deposit depress depth derive describe
desert deserve design desire desktop despite destination destroy detail determine develop development device devote
diagram dialogue diary dictionary diet difference different difficult dig digit digital dinner diploma direct direction
dirty disagree disappear disappoint disaster discipline discount discover discuss disease dish disk dismiss display
distance distinct distribute district disturb divide divorce doctor document dog dollar domain domestic donate door
dose double doubt down download dozen draft drag drama draw dream dress drink drive drop drought drum due dull during
dust duty each eager ear earn earth ease east eastern easy eat economy edge edit edition editor education effect
effective efficient effort egg eight either elect electric element else elsewhere email embarrass emerge emergency
emotion emphasis employ employee employer empty enable encounter encourage end enemy energy engage engineer enjoy
enough ensure enter entertain enthusiasm entire entrance entry envelope environment equal equip equipment equivalent
era error escape especially essay essential establish estate estimate euro evaluate even evening event eventually ever
every everybody everyone everything everywhere evidence evident evolve exact examine example excellent except excess
exchange excite excuse execute exercise exhibition exist exit expand expect expedition expensive experience experiment
expert explain explode explore export expose express extend extension extent external extra extraordinary extreme eye
fabric face facility fact factor factory faculty fail failed failure faint fair faith fall false familiar family fancy
far fare farm fashion father fault favor favorite fear feature february fee feed feedback feel fellow fence festival
fetch fever few fiber fiction field fifteen fifty fight figure file fill film filter final finance find finger finish
fire firm first fish fit fitness five fix flag flame flat flavor flesh flexible flight float flood floor flour flow
flower fly focus fog fold folder folk follow following food foot football for force foreign forest forget form former
formula fortune forty forum forward found foundation four frame free frequency frequent frequently fresh friday friend
friendly frighten from front frost fruit frustrate fuel full fully fun function fund fundamental funny furniture
further future gallery game gap garage garden gas gather gear gender general generate generation generous genre gentle
genuine geography gesture get giant gift girl give glad global glory go goal good goods govern government grab grade
gradual graduate grain grand grant graph grass grateful gray greet grid grocery gross ground group grow growth
guarantee guard guess guest guidance guide guideline guilty guitar gym habit hair half hall hand handle happen harbor
hardly hardware harm harvest hat hate have head heading headline heal health hear heart heat height hello help helpful
here hero hesitate hidden highlight hint hip hire historic history hit hobby hold hole holiday home honest honor hope
horse hospital host hot hotel hour house household how however huge human humor hundred hungry hunt hurry hurt husband
ice idea identical identify identity if ignore ill illegal illness illustrate image imagine immediate immigrant impact
imply import important impose impress improve in incident include income incorporate incorrect increase indeed
independent index indicate individual industry infant influence inform information initial initiative injure inner
innocent innovate input inquire insect insert inside insist inspect inspire install instance instant instead institute
instruct instrument insurance integer intelligent intend intense interact interest interior internal international
internet interpret interrupt interval interview into introduce invent invest investigate invitation invite invoice
involve iron island isolate issue it item itself jacket jail jam january jazz jealous jeans jet jewelry job join joint
joke journal journey judge juice july jump june junior just justice justify keep key keyboard keyword kid kilogram
kilometer kind king kit kitchen knife knock know label labor lack lake lamp land landscape lane language laptop last
latest latter laugh launch law lawn lawyer layer layout lead leader leaf league lean learn least leather leave lecture
left leg legal legend lemon length lesson let letter level liberal library license lie life lifetime lift lighter like
limit limited line link list listen literature litter loan local locate location lock log logic logo lonely look loose
lorry lose lot lottery loud love lovely lower loyal luck luggage lunch luxury machine magazine magic mail main maintain
major majority make man manage management manager manner manufacture many map march margin marine mark market marry
massive master match material matrix matter mature maximum may maybe mayor meal mean meanwhile measure measurement meat
mechanic media medical medicine medium meet meeting melt member memory mental mention menu merchant merge merit mess
message metal method microphone middle midnight mild military milk million mind mineral minimum minister minor minority
minute mirror miss missing mission mistake mix mixture mobile mode model moderate modern modest modify module moisture
moment monday money monitor month monthly mood moon moral more moreover morning mortgage most mostly mother motion
motivate motor mount mountain mouse mouth move movie much multiple murder muscle museum music musician must mutual
myself mystery name narrow nasty nation national native natural naturally nature near nearby nearly neat necessary neck
need needle negative neglect negotiate neighbor neither nerve nervous network never newest news newspaper next nice
night nine no nobody noise none noon normal normally north northern nose not notable note notebook noted nothing notice
notion novel november now nowadays nowhere nuclear number numerous nurse nut obey object objective oblige obtain
obvious occasion occupy occur ocean october odd of off offend offense offer office officer official offline often oil
oldest on once one ongoing online only onto open operate operation opinion oppose opposite option optional or orange
orchestra order ordinary organ organize origin original other otherwise ought our ourselves out outcome outdoor outline
outlook output outside oven over overall overcome overdue overlook overseas owe own owner ownership pack package packet
page paid pain painful pair palace pale panel panic paper paragraph parallel parameter parcel pardon parent park part
participate particle particular partner party pass passage passenger passion passive passport password past paste path
patient pattern pause pay payment peace peak peel pen penalty pension people pepper percent percentage perfect perform
performance perhaps period permanent permission permit person personal personality persuade pet phase phenomenon
philosophy phone photo photograph phrase physical piano pick picture piece pile pilot pipe pitch place plain plan plane
planet plant plastic plate platform play player pleasant please pleased pleasure plenty plot plug plus pocket poem poet
poetry point poison police policy polite political pollution pool poor popular population port portion portrait pose
position positive possess possibility possible post potato potential pound pour poverty powder power powerful practice
pray precise predict prefer preference pregnant prepare present preserve president press pretty prevent previous price
pride priest primary prime principal principle print prior priority prison private prize probably problem procedure
proceed process processing processor produce product production professional professor profile profit program progress
prohibit project prominent promise promote prompt proof proper properly property proportion proposal propose prospect
protect protest proud provide provided province pub public publication publish pull punish pupil purchase pure purpose
pursue push put qualify quality quantity quarter queen query question quickly quiet quit quite quote race radio rain
raise random range rank rapid rare rarely rate rather rating ratio raw reach react reaction read reader ready real
realistic reality realize rear reason reasonable recall receipt receive receiver recent recently recipe recipient
reckon recognize recommend record recover recruit recycle reduce reduction refer reference reflect reform refrigerator
refugee refund refuse regard region register registered regret regular regulate reject relate relation relationship
relative relax release relevant reliable relief religion reluctant rely remain remark remarkable remedy remember remind
remote remove removed rent rental repair repeat replace reply report represent reputation request require required
requirement rescue research reservation reserve reset resident resist resolution resolve resort resource respect
respond response responsible rest restaurant restore restrict result retail retain retire retrieve return returned
returns reveal revenue reverse review revise revolution reward rhythm rice rid ride right ring rise risk rival river
road robot rock rocket role romantic room root rough roughly round route routine row royal rub rubbish ruin rule ruler
rumor run rural rush sad safe safety sail salad salary sale salt same sample sand sandwich satellite satisfy saturday
sauce save say scale scan scared scatter scene schedule scheme scholar school science scope score scratch scream screen
script sculpture sea seal search season seat secret secretary section secure security see seed seek seem seldom select
selection self sell seminar senate send senior sense sensible sensitive sentence separate september sequence series
serious serve service session set settle seven several severe sew shade shadow shake shallow shame shape share she
sheet shelf shelter shift shine ship shirt shock shoe shoot shop shore shortage shortly shot should shoulder shout show
shower shut shy sick side sight sign signal significant silence silly silver similar simple simply since sincere sing
single sink sister sit site situation six size skate sketch ski skill skin sky slave sleep sleeve slice slide slight
slip slope slow smart smell smile smoke smooth snack snow social software soil soldier sole solid solution solve some
somebody somehow someone something sometimes somewhat somewhere son song soon sophisticated sort soul sound soup source
south southern space spare spatial speak special specialist species specific specify spectrum speech speed spell spend
spin spirit spite split spoil sponsor sport spot spray spread spring square stable stadium staff stage stairs stake
stamp stand standard star stare start state statement station statistic statue status stay steady steal steam steel
steep stem step stick sticky stiff stir stock stomach stone stop store storm story straight strange stranger strategy
stream street strength stress stretch strict strike string strip stroke strong structure struggle student studio study
stuff stupid style subject submit substance substantial substitute suburb subway succeed success such sudden suffer
sufficient sugar suggest suit suitable sum summary summer sun sunday super superior supermarket supply support suppose
sure surface surgery surname surprise surrender surround survey survive suspect suspend swear sweep sweet swim swing
switch symbol sympathy symptom syntax system table tail take talent talk tank tap tape target task taste tax teach team
tear technical technique technology teenager telephone television temperature temple temporary tempt ten tend tension
tent term terminal terrible test text textbook thank that the theater theme then theory therapy there therefore they
thick thin thing think third thirty this thorough though thought thousand thread threat three thriller throat through
throughout throw thursday ticket tidy tie tight till time tiny tip tire tired tissue title to today together token
tomorrow tone tongue tonight too tool tooth top topic total touch tour tournament toward town toy trace track trade
traditional traffic tragedy train transaction transfer transform translate transmit transport travel treat treatment
tree tremendous trend trial tribe trick trip troop tropical trouble truck true truly trunk trust truth try tube tuesday
tune tunnel turn twelve twenty twice twin two type typical ugly ultimate umbrella unable uncertain uncle uncomfortable
under underground understand unemployed unfortunate uniform union unique unit unite universal universe university
unknown unless unlike unlikely unread until unusual up update updated upload upon upper upset upstairs upward urban
urge urgent user username usual usually utility vacant vacation valid valley valuable value van variable variation
variety various vary vast vegetable vehicle venture venue verify version versus very veteran via victim victory video
view viewer village violent virtual virtue virus visible vision visit visitor visual vital vocabulary voice volume
volunteer vote voyage vulnerable wage wait waiter wake walk wall wallet wander want war warehouse warn warning wash
waste watch water wave way we weak wealth weapon wear weather website wednesday week weekend weekly weigh weight
welcome welfare west western what whatever wheel when whenever where whereas wherever whether which while whisper who
whoever why wide widely wife wild will willing win wind window wine wing winner winter wipe wire wisdom wise wish with
withdraw within without witness woman wonder wonderful wood wooden wool word work workshop world worldwide worry worth
wound wrap write wrong yard year yearly yell yes yesterday yet yield you young youth zero zone
""")

# The little words of English, which no value is made of.
LITTLE = words_of("""
a an and are as at be by for from how i in is it me my not of on or please that the this to was we were what which with
you your
""")

# What code and conversations write with a capital.
HEADWORDS = words_of("Args Assistant Error False Function None Output Please Returns System True User")

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

# code names of an action | how people ask for it | how documentation states it
VERBS = rows_of("""
get fetch read load | get/fetch/show me/give me/pull up/bring up/let me see | return/fetch/give back/read
list browse show | list/show/show all/go through/display/what are | list/show/return all/enumerate
search find query lookup | search for/find/look for/look up/hunt for/locate | search/find/look up/query
create add make new register | create/add/make/set up/register/start/put in | create/add/register/make
delete remove drop erase | delete/remove/drop/get rid of/erase/throw away/wipe | delete/remove/erase/discard
update edit change modify | update/change/edit/modify/adjust/alter | update/change/modify/edit
move transfer shift relocate | move/transfer/shift/bring/relocate/take | move/transfer/relocate
reserve book hold | reserve/book/hold/set aside/keep | reserve/book/hold
cancel revoke withdraw | cancel/call off/revoke/withdraw/back out of | cancel/revoke/call off
send dispatch ship deliver | send/ship/dispatch/deliver/mail out | send/dispatch/deliver/ship
count tally number_of | count/tally/add up/work out the number of/how many are there of | count/tally/give the number of
compare contrast | compare/contrast/put side by side/weigh up | compare/contrast
rename retitle | rename/give a new name to/call differently/retitle | rename/change the name of
copy duplicate clone | copy/duplicate/clone/make another of/replicate | copy/duplicate/clone
merge join combine | merge/join/combine/put together/unite | merge/combine/join
split divide | split/divide/break up/cut up | split/divide
sort arrange rank | sort/arrange/put in order/rank/order | sort/arrange/rank
paint color tint | paint/color/tint/give a new color to | paint/color
repair fix mend | repair/fix/mend/restore/patch up | repair/fix/mend
measure gauge | measure/gauge/take the size of/check how large is | measure/gauge
weigh | weigh/put on the scale/check how heavy is | weigh/determine the weight of
clean wash polish | clean/wash/polish/scrub/tidy up | clean/wash
open unlock | open/unlock/open up | open/unlock
close shut lock | close/shut/lock/seal | close/shut/lock
lend loan | lend/loan/hand out/give out | lend/loan
rate score grade | rate/score/grade/judge/give marks to | rate/score/grade
tag label mark | tag/label/mark/put a sticker on | tag/label/mark
archive store stash | archive/store/put away/file away/stash | archive/store/put away
restore recover reopen | restore/recover/get back/bring back/revive | restore/recover/bring back
pause suspend halt | pause/suspend/halt/put on hold/hold up | pause/suspend
resume continue | resume/continue/carry on with/pick up again | resume/continue
schedule plan | schedule/plan/arrange/fix a time for | schedule/plan
assign allot | assign/allot/give/hand over | assign/allot/hand over
track follow trace | track/follow/trace/keep an eye on/see where is | track/follow/trace
check inspect verify | check/inspect/verify/examine/look over/test | check/inspect/verify
estimate guess predict | estimate/guess/predict/forecast/work out roughly | estimate/predict
compute calculate | compute/calculate/work out/figure out | compute/calculate/work out
convert turn | convert/turn/change/express | convert/turn
export save dump | export/save/dump/write out/download | export/save/write out
import upload | import/upload/bring in/read in/load in | import/upload/read in
publish post announce | publish/post/announce/make public/put up | publish/post/announce
sell | sell/put up for sale/find a buyer for | sell
buy purchase acquire | buy/purchase/acquire/get hold of | buy/purchase
subscribe follow_up | subscribe to/sign up for/ask for news of | subscribe to/sign up for
invite ask_in | invite/ask in/send an invitation to | invite
describe explain summarize | describe/explain/summarize/tell me about/say something about | describe/explain/summarize
""")

# suffix of a function's name | how people ask for it ({o} is the thing) | how documentation states it
ASPECTS = rows_of("""
details | all details of {o}/everything about {o}/full information on {o}/more about {o} | the full details of {o}
history | the history of {o}/what happened to {o} so far/past changes of {o}/earlier records of {o} | \
the past changes of {o}
status | the status of {o}/what state {o} is in/how {o} is doing/the current state of {o} | the current state of {o}
price | the price of {o}/how much {o} costs/what I pay for {o}/the cost of {o} | the price of {o}
owner | the owner of {o}/who owns {o}/whose {o} it is/to whom {o} belongs | the owner of {o}
size | the size of {o}/how big {o} is/how large {o} is/the dimensions of {o} | the size of {o}
location | the location of {o}/where {o} is/the place of {o}/where to find {o} | the place where {o} is kept
parts | the parts of {o}/what {o} is made of/the components of {o}/the pieces in {o} | the components of {o}
reviews | the reviews of {o}/what people say about {o}/opinions on {o}/feedback on {o} | what people wrote about {o}
rating | the rating of {o}/how well {o} is rated/the stars of {o}/the average score of {o} | the average score of {o}
photos | the photos of {o}/pictures of {o}/images of {o}/what {o} looks like | the pictures of {o}
notes | the notes on {o}/remarks about {o}/comments on {o}/what was noted on {o} | the remarks about {o}
hours | the opening hours of {o}/when {o} is open/at what times I can visit {o} | the opening hours of {o}
neighbors | the neighbors of {o}/what is close to {o}/what lies next to {o} | whatever is close to {o}
members | the members of {o}/who takes part in {o}/the people in {o}/who belongs to {o} | the people in {o}
rules | the rules of {o}/what is allowed in {o}/the regulations for {o} | what is allowed in {o}
total | the total of {o}/the sum over {o}/how much {o} adds up to | the sum over {o}
summary | a summary of {o}/a short overview of {o}/the main points of {o}/{o} in brief | a short overview of {o}
tags | the tags of {o}/the labels on {o}/the keywords of {o} | the labels of {o}
forecast | the forecast for {o}/what to expect of {o}/the outlook for {o}/how {o} will be | the outlook for {o}
version | the version of {o}/which edition of {o} it is/the release of {o} | the edition of {o}
route | the route to {o}/how to get to {o}/the way to {o}/directions to {o} | the way to {o}
""")
