"""A small project folder to work on in bash, and what has to hold in it after each of the tasks in bash_tasks.jsonl."""

import os
from collections.abc import Callable

from tools.bash import CommandError, Toolkit

FILES = {
    "notes/todo.txt": "buy paper\npay rent\nwater plants\n",
    "notes/meeting notes.txt": "about the budget\nwhen: 2027-01-12 at 14:30\n",
    "notes/login.md": "the password is on the back\n",
    "logs/app.log": "".join(
        f"09:{minute:02} {level} {text}\n"
        for minute, level, text in (
            (1, "INFO", "start"),
            (4, "ERROR", "disk full"),
            (7, "INFO", "cleaned"),
            (9, "ERROR", "no route to db2"),
            (15, "WARN", "slow answer"),
            (20, "ERROR", "disk full"),
            (31, "INFO", "stop"),
        )
    ),
    "logs/old.log": "08:00 INFO start\n",
    "data/names.txt": "Rosa\nEmil\nNoor\nEmil\nAda\nRosa\n",
    "data/sales.csv": "region,product,units,price\nnorth,lamp,12,30\nsouth,lamp,7,30\nnorth,chair,4,75\n"
    "west,table,2,180\nsouth,vase,9,15\nnorth,rug,1,90\n",
    "data/old.gz": "this is plain text\n",
    "config/app.conf": "host=localhost\nport=8080\ndebug=no\n",
    "package.json": '{"name": "shop", "version": "1.4.2"}\n',
    "inbox/a.txt": "a\n",
    "inbox/b.txt": "b\n",
    "inbox/c.tmp": "c\n",
    "inbox/deep/d.tmp": "d\n",
    "inbox/e.csv": "e\n",
    "cache/one.bin": "1\n",
    "src/add.sh": "echo $(($1 - $2))\n",
    "scripts/report.sh": "#!/bin/bash\n"
    "awk -F, 'NR > 1 { total += $3 * $4 } END { print \"total\", total }' data/sales.csv\n",
    "scripts/backup.sh": '#!/bin/bash\n[ -d "$TARGET" ] || { echo "backup: TARGET is not a folder" >&2; exit 1; }\n'
    'cp -r data "$TARGET"\n',
    "scripts/build.sh": "#!/bin/bash\r\nset -e\r\necho built > built.txt\r\n",
    "scripts/test.sh": '#!/bin/bash\n[ "$(bash src/add.sh 2 3)" = 5 ] || { echo "2 + 3 is not 5" >&2; exit 1; }\n',
    # A stand-in that refuses what the pip of a distribution refuses.
    "bin/pip": """#!/bin/bash
[ "$1" = install ] || { echo "usage: pip install PACKAGE" >&2; exit 2; }
case " $* " in
*" --break-system-packages "*) ;;
*) echo "error: externally-managed-environment; --break-system-packages installs in spite of it" >&2; exit 1 ;;
esac
mkdir -p site-packages
for name in "${@:2}"; do
    case $name in -*) ;; *) touch "site-packages/$name"; echo "Successfully installed $name" ;; esac
done
""",
}
PROGRAMS = ("scripts/backup.sh", "scripts/build.sh", "scripts/test.sh", "bin/pip")


class Project(Toolkit):
    """Bash in the project's folder, the same for every episode."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.files = dict(FILES)

    def _write_files(self) -> None:
        for name in self.files:
            os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        super()._write_files()
        for name in PROGRAMS:
            os.chmod(name, 0o755)


def _check(condition: str) -> Callable[[Project, str], bool]:
    """A check: the condition, in bash, holds after the episode."""

    def check(session: Project, answer: str) -> bool:
        try:
            session.bash(condition)
        except CommandError:
            return False
        return True

    return check


build_is_a_folder = _check("test -d build")
todo_is_copied = _check("cmp notes/todo.txt backup.txt")
names_are_renamed = _check("test -f data/people.txt -a ! -e data/names.txt")
tmp_files_are_gone = _check("[ -z \"$(find . -name '*.tmp')\" ] && [ -f inbox/a.txt ]")
names_are_sorted = _check("[ \"$(tr '\\n' ' ' < data/sorted.txt)\" = 'Ada Emil Noor Rosa ' ]")
report_is_executable = _check("test -x scripts/report.sh")
port_is_9090 = _check("[ \"$(tr '\\n' ' ' < config/app.conf)\" = 'host=localhost port=9090 debug=no ' ]")
log_is_cut = _check("[ $(wc -l < logs/app.log) = 2 ] && grep -q stop logs/app.log")
texts_are_moved = _check("[ \"$(ls texts | tr '\\n' ' ')\" = 'a.txt b.txt ' ] && [ ! -e inbox/a.txt ]")
report_is_saved = _check("[ \"$(cat report.txt)\" = 'total 1455' ]")
login_is_hidden = _check("test -f secret/login.md -a ! -e notes/login.md")
logs_are_archived = _check("tar -tzf logs.tar.gz | grep -q 'logs/app.log' && [ ! -e logs ]")
anna_is_called = _check("[ \"$(tail -n 1 notes/todo.txt)\" = 'call Anna' ] && [ $(wc -l < notes/todo.txt) = 4 ]")
regions_are_split = _check("[ \"$(wc -l < north.csv) $(wc -l < south.csv) $(head -c 6 south.csv)\" = '4 3 region' ]")
products_are_counted = _check('[ "$(tr -d "[:space:]" < products.txt)" = 5 ]')
endings_are_gone = _check("[ \"$(ls tools | tr '\\n' ' ')\" = 'backup build report test ' ]")
requests_is_installed = _check("test -e site-packages/requests")
todo_is_archived = _check("test -f archive/2026/todo.txt -a ! -e notes/todo.txt")
data_is_backed_up = _check("[ -f backup/data/sales.csv ]")
project_is_built = _check("[ \"$(tr -d '\\r' < built.txt)\" = built ]")
cache_is_gone = _check("[ ! -e cache ] && [ -d inbox ]")
tests_pass = _check("scripts/test.sh && [ \"$(bash src/add.sh 10 4)\" = 14 ] && grep -q 'is not 5' scripts/test.sh")
old_is_text = _check("test -f data/old.txt -a ! -e data/old.gz")
