"""What functions do and tell, in many words: tables from which the corpus draws names, descriptions and requests.

Each way to ask belongs to one row alone as far as ordinary English allows, so that a request has one right function.
"""

from tl.assets.tiny.words import rows_of

# code names | orders ({o} is the thing, at the end where it is not written) | what people say instead of an order |
# how documentation states it
ACTIONS = rows_of("""
create make new | create/make/set up/start/I need a new {o}/begin with | we need another {o}/a new {o} is wanted | \
create/make/set up
register enrol enter | register/enrol/enter/put {o} on the books/write {o} into the register | \
{o} is not registered yet | register/enrol/enter into the register
delete erase destroy | delete/erase/get rid of/wipe out/throw {o} away/destroy | {o} is of no use any more/{o} can go/\
I never want to see {o} again | delete/erase/discard
remove take_out detach | remove/take {o} out/take away/detach/pull out | {o} should not be in there | remove/take out
edit change modify | edit/change/modify/adjust/alter/make changes to | {o} is not right as it is/\
something about {o} is wrong | change/edit/modify
move relocate transfer | move/relocate/transfer/bring {o} elsewhere/shift/take {o} to another place | \
{o} stands in the wrong place | move/relocate/transfer
reserve book hold | reserve/book/hold/set {o} aside/keep {o} free for me | nobody else should get {o} | reserve/book
cancel revoke call_off | cancel/call {o} off/revoke/back out of/withdraw from | {o} will not happen/\
I have no need of {o} after all/my plans changed, so no {o} | cancel/call off
send dispatch ship | send/dispatch/ship/forward/get {o} on its way/mail out | {o} has to be on its way today | \
send/dispatch/ship
receive accept take_in | receive/accept/take {o} in/say yes to/agree to | I am fine with {o} | accept/receive
reject refuse decline | reject/refuse/decline/turn {o} down/say no to | {o} is not acceptable | reject/decline/turn down
approve confirm permit | approve/confirm/allow/give {o} the go-ahead/permit/sign {o} off | {o} looks good to me | \
approve/permit/confirm
compare contrast match_up | compare/contrast/weigh up/put {o} next to each other | \
I cannot tell {o} apart | compare/contrast
rename retitle call | rename/give {o} another name/retitle/call {o} something else | \
the name of {o} is wrong/{o} needs a better name | rename/change the name of
copy duplicate clone | copy/duplicate/clone/make another one like {o}/replicate | one {o} is not enough | copy/duplicate
merge join combine | merge/join/combine/put {o} together/unite/fuse | {o} should become one | merge/combine/join
split divide break_up | split/divide/break up/cut {o} in two/separate/part | {o} is too big for one | split/divide
sort arrange rank | sort/arrange/put {o} in order/rank/bring order into | {o} is a mess | sort/arrange/put in order
paint color tint | paint/color/tint/give {o} a new coat/brush {o} over | {o} looks dull/the paint comes off {o} | \
paint/color
repair fix mend | repair/fix/mend/patch up/get {o} working again | {o} is broken/{o} does not work any more/\
there is a crack in {o} | repair/fix/restore to working order
clean wash scrub | clean/wash/scrub/wipe/rinse/tidy up | {o} is dirty/{o} is full of dust | clean/wash
polish shine | polish/shine/make {o} gleam/buff | {o} has lost its shine | polish
unlock open | open/unlock/open up/let me into | {o} is locked/I cannot get into {o} | open/unlock
close shut lock | close/shut/lock/lock up/seal/shut {o} tight | {o} should not stay open | close/lock
lend loan | lend/lend out/loan/give {o} out on loan/let somebody use | somebody wants to borrow {o} | lend/loan
return give_back bring_back | return/give back/bring back/hand {o} back | the loan of {o} is over | return/give back
borrow check_out | borrow/take {o} home for a while/check out | I would like to use {o} for a bit | borrow
rent lease hire | rent/lease/hire/charter | {o} for rent, please | rent/lease/hire
buy purchase acquire | buy/purchase/acquire/get hold of/pay for | {o} is what I want to own/I would like to have {o} | \
buy/purchase
sell vend | sell/find a buyer for/offer {o} for sale/turn {o} into money | I have to part with {o} | sell
rate grade judge | rate/grade/judge/give marks to/give stars to/score | {o} was great/{o} was a disappointment | \
rate/grade
tag label mark | tag/label/mark/put a sticker on/put a label on | nobody can recognise {o} | tag/label/mark
store stash deposit | store/stash/put {o} away/deposit/keep {o} in storage | {o} needs a place | store/put away
archive shelve retire | archive/shelve/retire/put {o} on the shelf/file {o} away | {o} is history now | archive/retire
restore recover revive | restore/recover/revive/get {o} back/bring {o} back to life | {o} got lost by mistake/\
I did not mean to lose {o} | restore/recover
pause suspend halt | pause/suspend/halt/put {o} on hold/interrupt | {o} has to wait for now | pause/suspend
resume continue go_on_with | resume/continue/carry on with/pick {o} up again/go on with | the break of {o} is over | \
resume/continue
stop end terminate | stop/end/terminate/bring {o} to an end/shut down | that is enough of {o} | stop/end/terminate
launch run activate | launch/run/activate/switch {o} on/turn on/fire up/power up | {o} is not on yet | \
launch/activate/switch on
deactivate disable switch_off | deactivate/disable/switch {o} off/turn {o} off/power down | {o} should be off | \
switch off/disable
schedule plan fix_date | schedule/plan/find a slot for/fix a time for/put {o} on the agenda | {o} has no time yet | \
schedule/plan
postpone delay put_off | postpone/delay/put off/push {o} back/do {o} later | {o} comes too early | postpone/delay
assign allot allocate | assign/allot/allocate/hand {o} over/entrust/make somebody responsible for | \
nobody takes care of {o} | assign/allot/hand over
follow track trace | track/follow/trace/keep an eye on/monitor/watch | what is {o} up to/I want news of {o} | \
follow/track/monitor
inspect check examine | inspect/check/examine/look {o} over/test/go over | something is odd about {o} | \
inspect/examine
verify validate prove | verify/validate/make sure of/prove/see whether {o} is genuine | I doubt {o} | verify/validate
estimate predict guess | estimate/predict/guess/make a guess at/foresee/work {o} out roughly | \
what might {o} come to | estimate/predict
compute calculate work_out | compute/calculate/work {o} out/figure {o} out/do the sums for | \
how much does {o} make | compute/calculate
translate render_as | translate/put {o} into other words/render {o} in another tongue | nobody here can read {o} | \
translate/render in another language
print print_out | print/print out/put {o} on paper/give me {o} on paper | I want {o} in my hands on paper | print
export save dump | export/save/dump/write {o} to disk/download | I need {o} outside of here | export/save
import upload load | import/upload/load/read {o} in/bring {o} in from outside | {o} is still outside | import/read in
publish announce release | publish/announce/release/make {o} public/let the world know about | \
everybody should see {o} | publish/announce
hide conceal | hide/conceal/cover up/make {o} invisible/keep {o} out of sight | nobody should see {o} | hide/conceal
share give_access | share/let others see/give others access to/pass {o} around | my friends want to see {o} | share
subscribe sign_up | subscribe to/sign up for/ask for regular news of/become a member of | {o} every week, please | \
subscribe to
unsubscribe leave quit | unsubscribe from/leave/quit/drop out of/step out of | I do not want to be in {o} | \
leave/unsubscribe from
invite ask_in | invite/ask {o} in/send {o} an invitation/bid {o} welcome | {o} should come, too | invite
hire employ engage | employ/engage/give {o} a job/take {o} on | we could use {o} in the team | employ/engage
dismiss lay_off | dismiss/lay off/let {o} go/fire | {o} does not work here any longer | dismiss
feed nourish | feed/give {o} something to eat/nourish | {o} is hungry/{o} has an empty stomach | feed
water irrigate | water/irrigate/give {o} some water/sprinkle | {o} is dry/{o} is thirsty | water
harvest pick reap | harvest/pick/reap/gather | {o} is ripe | harvest/gather
plant sow | plant/sow/put {o} into the ground | I want {o} to grow here | plant
build construct assemble | build/construct/assemble/put {o} up/erect | {o} is still in parts | \
build/construct
demolish tear_down dismantle | demolish/tear {o} down/dismantle/take {o} apart/pull down | {o} is in the way | \
demolish/take apart
load_up pack | pack/load up/put {o} in a box/wrap up | {o} must be ready for the trip | pack
unpack unload | unpack/unload/take {o} out of the box/unwrap | {o} is still in its box | unpack/unload
refill top_up replenish | refill/fill {o} up again/top up/replenish | {o} is empty/{o} is nearly used up | refill/top up
empty drain | empty/drain/pour out/let everything out of | {o} is too full/{o} runs over | empty/drain
charge recharge | charge/recharge/plug {o} in | {o} has no power left/the battery of {o} is flat | charge
heat warm_up | heat/warm {o} up/make {o} hot/heat up | {o} is too cold | heat/warm up
cool chill | cool/chill/cool {o} down/make {o} cold | {o} is too hot | cool/chill
replace exchange swap | replace/exchange/swap/put a new one in place of/change {o} for another | {o} is worn out | \
replace/exchange
upgrade improve enhance | upgrade/improve/enhance/make {o} better | {o} is not good enough | upgrade/improve
insure cover | insure/get cover for/protect {o} against loss | what if {o} gets stolen | insure
report flag denounce | report/flag/complain about/file a complaint on/tell the authorities about | {o} is a nuisance | \
report/complain about
block ban bar | block/ban/bar/keep {o} from coming in/shut {o} out | {o} bothers me | block/ban
unblock admit | unblock/lift the ban on/let {o} in again/admit | {o} may come back | unblock/admit
pin fix_on_top favorite | pin/keep {o} on top/add {o} to the favorites/give {o} a heart | I like {o} best | \
pin/mark as favorite
vote_for elect | vote for/elect/give my voice to/cast a ballot for | {o} should win | vote for
donate give_away | donate/give {o} away/make a gift of | {o} is for the poor | donate/give away
recycle scrap | recycle/scrap/turn {o} into something new | {o} is rubbish | recycle
photograph shoot | photograph/take a picture of/snap/take a photo of | I want to remember how {o} looks | photograph
draw sketch | draw/sketch/make a drawing of/draft | what would {o} look like on a sheet | draw/sketch
film record tape | film/record/tape/make a video of | we should have {o} on video | film/record
test_run try_out | try out/take {o} for a test/put {o} to the test/give {o} a try | will {o} hold | try out
teach train coach | teach/train/coach/give lessons to/school | {o} has much to learn | teach/train
cure treat heal | cure/treat/heal/nurse {o} back to health/give {o} medicine | {o} is ill/{o} does not feel well | \
treat/heal
wake rouse | wake/rouse/wake {o} up/get {o} out of bed | {o} is still asleep | wake
greet welcome | greet/welcome/say hello to | {o} has just come in | greet
warn alert | warn/alert/put {o} on guard | {o} does not know about the danger | warn
remind nudge | remind/nudge/jog the memory of | {o} might forget | remind
thank praise | thank/praise/say thanks to | {o} did well | thank/praise
rescue save_from | rescue/come to the help of/bring {o} to safety | {o} is in danger | rescue
escort guide accompany | escort/guide/accompany/show {o} the way/go with | {o} does not know the way | guide/escort
""")

# code names | kind of value | nouns for it | questions | how documentation puts it where it is no noun ({o} a thing)
ATTRIBUTES = rows_of("""
weight mass | decimal | weight/mass | how heavy is {o}/how much does {o} weigh/what does {o} weigh
height | decimal | height | how tall is {o}/how high is {o}/how far up does {o} go
length | decimal | length | how long is {o}/how many meters long is {o}
width breadth | decimal | width/breadth | how wide is {o}/how broad is {o}
depth | decimal | depth | how deep is {o}/how far down does {o} go
size dimensions | words | size/dimensions/measurements | how big is {o}/how large is {o}
age | whole | age | how old is {o}/how many years has {o} been around
speed pace | decimal | speed/pace/velocity | how fast is {o}/how quick is {o}/how many kilometers an hour does {o} make
price cost | decimal | price/cost/charge | how much is {o}/what does {o} cost/what do I pay for {o}/is {o} expensive
worth value | decimal | worth | what is {o} worth/how valuable is {o}/what would somebody give for {o}
color shade | color | color/shade/hue | what color does {o} have/in which color is {o} painted
material fabric | title | material/substance | what is {o} made of/out of what is {o}/is {o} made of wood
shape form | title | shape/form/outline | what does {o} look like from outside/is {o} round
owner holder | person | owner/proprietor/holder | who owns {o}/whose is {o}/to whom does {o} belong/who has {o}
maker producer | person | maker/producer/manufacturer | who made {o}/who produces {o}/from which workshop is {o}
creator inventor | person | creator/inventor/founder | who invented {o}/who came up with {o}/who started {o}
manager leader | person | manager/leader/head/boss | who runs {o}/who is in charge of {o}/who leads {o}
guardian keeper | person | guardian/keeper/caretaker | who looks after {o}/who takes care of {o}/who watches over {o}
teacher trainer | person | teacher/trainer/coach | who teaches {o}/who trains {o}
winner champion | person | winner/champion/best one | who won {o}/who came first in {o}
members people | words | members/people/participants | who takes part in {o}/who is in {o}/who belongs to {o}
location whereabouts | town | location/position/whereabouts | where is {o}/where do I find {o}/where is {o} kept
origin source | town | origin/source/birthplace | where does {o} come from/from where is {o}
target goal | town | target/aim/goal | where is {o} going/what is {o} for/what should {o} lead to
neighbors surroundings | words | neighbors/surroundings | what is close to {o}/what lies next to {o}/what is around {o}
entrance access | title | entrance/access/way in | how do I get into {o}/where is the door of {o}
way_to directions | title | way to {o}/directions to {o} | how do I get to {o}/how can I reach {o}/which way is {o}
status state | title | status/state/condition | how is {o}/how is {o} doing/is {o} in order/is {o} ready
progress | whole | progress/degree of completion | how far along is {o}/how much of {o} is done/is {o} nearly done
history past | words | history/past/earlier life | what happened to {o} so far/what has {o} been through
future outlook | title | outlook/future/prospects | what will become of {o}/how will {o} be
cause reason | sentence | cause/reason | why is {o} so/what led to {o}/how come {o} is there
effect result | sentence | effect/consequences/result | what does {o} lead to/what comes of {o}
purpose use | sentence | purpose/use/function | what is {o} good for/what can I do with {o}/why would I need {o}
risk danger | whole | risk/danger/hazards | how dangerous is {o}/is {o} safe/what can go wrong with {o}
quality | whole | quality/standard | how good is {o}/is {o} any good/how well is {o} made
rating score | decimal | rating/score/marks | how do people rate {o}/how many stars does {o} have/how well liked is {o}
reviews opinions | words | reviews/opinions/feedback/comments | what do people say about {o}/what do others think of {o}
popularity | whole | popularity/fame | how popular is {o}/how many people like {o}/is {o} well known
details info | sentence | details/full information/particulars | what do you know about {o}
summary overview | sentence | summary/overview/main points/short version | what is {o} about/{o} in a nutshell, please
description text | sentence | description | what is {o} like/can you describe {o}
notes remarks | words | notes/remarks | what was written down about {o}/what was noted on {o}
parts components | words | parts/components/pieces | what does {o} consist of/what is inside {o}/which pieces has {o}
contents | words | contents/filling | what is in {o}/what does {o} hold/what does {o} contain
ingredients_of | words | ingredients | what goes into {o}/what do I need to make {o}
number_of_items count | whole | number of items/item count | how many items are in {o}/how many pieces does {o} have
capacity space | whole | capacity/room/space | how much fits into {o}/how many people can {o} take/is there room in {o}
stock supply | whole | stock/supply/reserve | how much of {o} is left/is there any more of {o}/do we run out of {o}
demand | whole | demand | how many want {o}/is {o} in demand
income earnings | decimal | income/earnings/profit/revenue | how much does {o} earn/what does {o} bring in
debt | decimal | debt/money owed | how much does {o} owe/is {o} in debt
salary wage | decimal | salary/wage/pay | what does {o} make a month/how well is {o} paid
tax duty | decimal | tax/duty | how much tax is on {o}/what does the state take for {o}
discount reduction | whole | discount/reduction | is {o} cheaper now/how much can I save on {o}/is {o} on sale
start beginning | date | start/beginning/opening | when does {o} start/when does {o} begin/since when is {o} on
finish_date deadline | date | deadline/end/due date | when is {o} due/when does {o} end/until when can I hand in {o}
opening_hours hours | clock | opening hours/hours | when is {o} open/at what time does {o} open/is {o} open now
duration | whole | duration/time it takes | how long does {o} take/how long does {o} last/how much time does {o} need
date day | date | date/day | when is {o}/on which day is {o}/what day is {o} on
birthday | date | birthday/date of birth | when was {o} born/how long has {o} lived
arrival | clock | arrival/time of arrival | when does {o} get here/when will {o} arrive/at what time is {o} in
departure | clock | departure/time of departure | when does {o} leave/when does {o} set off
delay wait | whole | delay/waiting time/lateness | is {o} late/how long do I have to wait for {o}/is {o} on time
frequency | whole | frequency | how often does {o} come/how many times a day is {o}
rules terms | words | rules/terms/regulations | what is allowed in {o}/what may I not do in {o}
requirements needs | words | requirements/needs | what does {o} need/what must I bring for {o}
language | title | language/tongue | which language does {o} speak/in what language is {o}
phone telephone | code | telephone/phone | how do I call {o}/at what number do I reach {o}
email_address | address | e-mail/e-mail address | where can I write to {o}/how do I reach {o} in writing
website link | path | website/link/home page | where is {o} on the internet/does {o} have a page
photos pictures | words | photos/pictures/images | what does {o} look like/can I see {o}
tags labels | words | tags/labels/keywords | under which words is {o} listed/what is {o} tagged with
category kind | title | category/kind/type/class | what sort of thing is {o}/what kind is {o}
version edition | code | version/edition/release | which edition is {o}/how new is {o}
brand make | title | brand/make/label | which brand is {o}/from which company is {o}
model | code | model/series | which model is {o}
name full_name | title | full name/proper name | how is {o} named/by which name does {o} go
nickname alias | title | nickname/alias/other name | what else is {o} called/by what other name does {o} go
job profession | title | job/profession/occupation/trade | what does {o} do for a living/what is {o} by trade
family relatives | words | family/relatives/kin | who is related to {o}/does {o} have children
friends | words | friends/companions/mates | whom does {o} like/with whom does {o} go out
habits | words | habits/customs | what does {o} do every day
skills abilities | words | skills/abilities/talents | what can {o} do/what is {o} good at
diet food | words | diet/food | what does {o} eat/on what does {o} live
health | title | health/fitness | is {o} ill/how does {o} feel/is {o} fit
temperature warmth | decimal | temperature/warmth | how hot is {o}/how cold is {o}/how warm is {o}
pressure | decimal | pressure | how much pressure is on {o}/is {o} under pressure
noise volume | whole | noise/volume/loudness | how loud is {o}/how noisy is {o}/is {o} quiet
brightness | whole | brightness/light | how bright is {o}/how much light does {o} give/is {o} dark
energy power | decimal | energy/power/consumption | how much power does {o} use/how strong is {o}
battery charge_level | whole | battery/charge | how full is {o}/does {o} have to be charged soon
range reach | decimal | range/reach | how far does {o} go/how far can {o} get
distance | decimal | distance | how far away is {o}/is {o} far from here
area surface | decimal | area/surface | how much ground does {o} cover/how many square meters has {o}
total sum | decimal | total/sum/grand total | how much does {o} add up to/what does {o} come to
average mean | decimal | typical value | what is {o} on average/what is usual for {o}
maximum peak | decimal | maximum/peak/top | how high did {o} get/what is the most of {o}
minimum low | decimal | minimum/bottom | how low did {o} get/what is the least of {o}
change trend | decimal | change/trend/growth | does {o} go up or down/how much did {o} grow
similar_ones alternatives | words | alternatives/similar ones | what is like {o}/what could I take instead of {o}
comments replies | words | replies/responses/answers | what did people answer to {o}
visitors guests | whole | visitors/guests/audience | how many people come to {o}/who visits {o}
subject topic | title | subject/topic/theme | what does {o} deal with/on what is {o}
warranty guarantee | date | warranty/guarantee | how long is {o} under guarantee/can I still send {o} back
permit licence | code | permit/licence/papers | may {o} be here/is {o} legal
""")

# First words of the names of functions that tell; with the last one, a name begins with the thing.
LOOKING = ["get", "show", "read", "tell", "fetch", "lookup", "check", "query", "find", ""]

# How people want to be told something: before a noun ("the weight of it"), and before "how heavy it is".
TELL = ["let me have", "show me", "I need", "get me", "find", "let me see", "what about", "report", "hand me"]
KNOW = ["say", "find out", "I am curious", "I wonder", "check", "see", "let me know", "I ask myself"]

# code names | orders ({o} stands for things) | what documentation says
LISTING = rows_of("""
list show_all browse | list/show/show me all/give me all/enumerate/which are there of the/go through the/display/\
what are the/let me see all | list/show all/return all/enumerate
search find query | search for/find/look for/hunt for/are there any/is there any of the/I am looking for/seek/\
do we have/which are the | search/find/search for/look for
count tally number_of | count/how many are there of the/give me a count of the/what is the count of/tally | \
count/give the number of/tell how many there are of
""")

# code names with {a} and {b} | orders about {a} and {b} | documentation
RELATIONS = rows_of("""
add_{a}_to_{b} put_{a}_in_{b} | add {a} to {b}/put {a} into {b}/include {a} in {b}/{b} should have {a}, too | \
add {a} to {b}/put {a} into {b}
remove_{a}_from_{b} take_{a}_out_of_{b} | remove {a} from {b}/take {a} out of {b}/{b} goes without {a} now | \
remove {a} from {b}/take {a} out of {b}
connect_{a}_with_{b} link_{a}_to_{b} | connect {a} with {b}/link {a} to {b}/tie {a} to {b}/attach {a} to {b} | \
connect {a} with {b}/link {a} to {b}
assign_{a}_to_{b} give_{a}_to_{b} | assign {a} to {b}/let {b} have {a}/give {b} the {a}/hand {a} over to {b} | \
assign {a} to {b}/hand {a} over to {b}
compare_{a}_with_{b} | compare {a} with {b}/how does {a} differ from {b}/which is better, {a} or {b} | \
compare {a} with {b}
swap_{a}_for_{b} exchange_{a}_for_{b} | swap {a} for {b}/I want {b} instead of {a}/exchange {a} for {b} | \
exchange {a} for {b}
move_{a}_next_to_{b} place_{a}_beside_{b} | move {a} next to {b}/bring {a} beside {b}/{a} belongs beside {b} | \
move {a} next to {b}
check_{a}_against_{b} | check {a} against {b}/does {a} fit {b}/would {a} go with {b} | check whether {a} fits {b}
""")

# Nouns that mean the same: a function has one of them, a request perhaps another.
SYNONYMS = rows_of("""
car/automobile/motorcar
bicycle/bike/cycle
truck/lorry
coach/bus
ship/vessel/boat
plane/aircraft/airplane
train/railway
doctor/physician
nurse/medic
patient/sick person
lawyer/attorney/solicitor
teacher/tutor/instructor
pupil/student/learner
worker/employee/staff member
boss/chief/manager
chef/cook
guest/visitor
customer/client/buyer
seller/vendor/dealer
neighbor/person next door
child/kid/youngster
baby/infant/newborn
friend/pal/buddy
enemy/opponent/rival
farmer/grower
soldier/warrior/fighter
king/ruler/monarch
writer/novelist
painter/artist
actor/performer/player
singer/vocalist
judge/referee/umpire
thief/burglar/robber
policeman/police officer/constable
house/home/dwelling
flat/apartment
room/chamber
kitchen/cookhouse
cellar/basement
garden/yard
shed/hut
barn/stable
factory/plant/works
workshop/garage
office/bureau
hospital/clinic
school/academy
university/college
church/chapel/temple
prison/jail
hotel/inn/lodge
pub/bar/tavern
cinema/movie theater
theater/playhouse
museum/gallery
library/reading room
station/terminal
harbor/port/dock
bridge/crossing
road/street/highway
path/trail/track
river/stream/creek
lake/pond
sea/ocean
hill/mound
mountain/peak
forest/wood/woodland
field/meadow/pasture
stone/rock/boulder
fire/blaze/flame
storm/gale/tempest
coat/jacket
shirt/blouse
trousers/pants
shoe/boot
hat/cap
bag/sack/pouch
suitcase/trunk/luggage
box/case/crate
bottle/flask
cup/mug
plate/dish
knife/blade
couch/sofa/settee
chair/seat
desk/bureau
bed/bunk
lamp/light/lantern
carpet/rug
curtain/drape
mirror/looking glass
picture/painting/image
statue/sculpture
clock/timepiece
watch/wristwatch
ring/band
necklace/chain
gem/jewel/precious stone
coin/piece of money
ticket/pass/admission
letter/note/missive
parcel/package
gift/present
prize/award/trophy
job/position/post
gathering/assembly/get-together
party/celebration/feast
wedding/marriage
trip/journey/tour
holiday/vacation
contest/competition/tournament
game/match
team/squad/crew
club/society/association
firm/company/business
shop/store
market/fair/bazaar
bill/invoice
contract/agreement/deal
law/statute/act
crime/offence
accident/crash/collision
illness/disease/sickness
wound/injury
medicine/drug/remedy
meal/dinner/supper
soup/broth
cake/pie/tart
sweet/candy
drink/beverage
fruit/berry
vegetable/greens
cow/cattle
pig/hog/swine
horse/pony/mare
dog/hound/puppy
cat/kitten
bird/fowl
snake/serpent
insect/bug/beetle
plant/herb
flower/blossom
machine/apparatus/device
engine/motor
tool/implement/instrument
computer/laptop
screen/monitor/display
phone/telephone/handset
camera/photo camera
robot/android
toy/plaything
doll/puppet
ball/sphere
book/volume
novel/tale
story/narrative
poem/verse
lesson/class
exam/examination/quiz
question/query
idea/thought/notion
plan/scheme
speech/talk/lecture
interview/conversation
complaint/objection
offer/proposal/bid
loan/credit
insurance/cover
pension/retirement pay
donation/contribution
container/receptacle
sensor/detector/probe
pump/compressor
pipe/tube
cable/wire/cord
battery/cell
valve/tap/faucet
""")
