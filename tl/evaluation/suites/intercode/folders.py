"""InterCode's file systems as tables: the files that its set-up scripts create, mistakes included, because the golden
commands were written for the result (princeton-nlp/intercode, MIT). There are no published Docker images of them."""

import calendar
import gzip
import io
import tarfile
from collections.abc import Iterable, Mapping

from tl.executor.machines import File

# Seconds since files were last changed, if the scripts set no time: as in the recorded runs. The run on the third file
# system was made within an hour of its image.
AGES = dict.fromkeys(("1", "2", "4", "test"), 7 * 86_400.0) | {"3": 600.0}

# Folders and files of any Linux besides programs. Those that are not in IGNORED count as part of the file system.
IGNORED = [
    "bin",
    "boot",
    "dev",
    "etc",
    "home",
    "lib",
    "media",
    "opt",
    "proc",
    "root",
    "run",
    "sbin",
    "srv",
    "sys",
    "usr",
    "var",
]
SYSTEM = (
    *(
        File(f"/{name}")
        for name in ["boot", "home", "media", "mnt", "opt", "root", "run", "srv", "sys", "var/log", "var/tmp"]
    ),
    File("/tmp", mode=0o1777),
    File("/etc/passwd", b"root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"),
    File("/etc/group", b"root:x:0:\nnogroup:x:65534:\n"),
    File("/etc/hosts", b"127.0.0.1\tlocalhost\n"),
    File("/.gitignore", "".join(f"{name}\n" for name in (*IGNORED, ".dockerenv")).encode()),
)


def _folders(paths: Iterable[str]) -> list[File]:
    return [File(path) for path in paths]


def _texts(
    texts: Mapping[str, str | bytes], programs: Iterable[str] = (), times: Mapping[str, str] | None = None
) -> list[File]:
    """Files with these contents; `programs` may be executed, `times` says when some were changed (UTC)."""
    programs, times = set(programs), times or {}
    return [
        File(
            path,
            text.encode() if isinstance(text, str) else text,
            0o755 if path in programs else 0o644,
            float(calendar.timegm((*map(int, times[path].split()), 0, 0, 0))) if path in times else None,
        )
        for path, text in texts.items()
    ]


def _archive(files: Iterable[File], names: Iterable[str]) -> bytes:
    """A .tar.gz of some files, named by their paths without the leading slash."""
    by_path = {file.path: file for file in files}
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name in names:
            file = by_path[name]
            entry = tarfile.TarInfo(name[1:])
            entry.mode, entry.uname, entry.gname = file.mode, "root", "root"
            if file.content is None:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
            else:
                entry.size = len(file.content)
                archive.addfile(entry, io.BytesIO(file.content))
    return gzip.compress(data.getvalue(), mtime=0)


def _script(shell: str, text: str) -> str:
    return f"#!/bin/{shell}\n{text}\n"


# ---- the first file system, and that of the 24 test queries, which is an older version

_JAVA = 'public class %s { public static void main(String[] args) { System.out.println(\\"%s!\\"); }}\n'
_SUB1, _SUB2, _SUB3 = "/testbed/dir1/subdir1", "/testbed/dir2/subdir2", "/testbed/dir3/subdir1"
_SCRIPTS = (
    f"{_SUB1}/shellscript1.sh",
    "/testbed/dir2/shellscript2.sh",
    f"{_SUB3}/subsubdir1/shellscript3.sh",
    f"{_SUB1}/subsubdir1/shellscript4.sh",
    f"{_SUB2}/shellscript5.sh",
)
_PYTHONS = (
    f"{_SUB1}/subsubdir1/pythonscript1.py",
    f"{_SUB2}/pythonscript2.py",
    f"{_SUB3}/pythonscript3.py",
    f"{_SUB1}/pythonscript4.py",
)
_TABLES = {
    f"{_SUB1}/jsonfile1.json": '{\n  "key1": "value1",\n  "key2": "value2",\n  "key3": "value3"\n}\n',
    "/testbed/dir3/subdir2/csvfile1.csv": "column1,column2,column3\nvalue1,value2,value3\nvalue4,value5,value6\n",
}
_TESTBED = [
    "/testbed/dir1/subdir1/subsubdir1",
    "/testbed/dir1/subdir2",
    "/testbed/dir2/subdir1",
    "/testbed/dir2/subdir2/subsubdir1",
    "/testbed/dir3/subdir1/subsubdir1",
    "/testbed/dir3/subdir2",
]


def _programs(quote: str) -> dict[str, str]:
    shells = {path: _script("sh", f"echo {quote}Shell script {n}{quote}") for n, path in enumerate(_SCRIPTS, 1)}
    line = "#!/usr/bin/env python3\nprint(%sPython script %d%s)\n"
    return shells | {path: line % (quote, n, quote) for n, path in enumerate(_PYTHONS, 1)}


def _first() -> list[File]:
    deep = f"{_SUB3}/subsubdir1"
    texts: dict[str, str | bytes] = {
        "/testbed/dir1/textfile1.txt": "Hello, World!\n",
        "/testbed/dir2/subdir1/textfile2.txt": "text file\nAnother text file\n",
        f"{deep}/textfile3.txt": "text file\nYet another text file\n",
        f"{_SUB1}/textfile4.txt": "Text file 4\\nGene 1\n",  # written by an echo without -e
        f"{_SUB2}/textfile5.txt": "Text file 5Gene 2\n",
        "/testbed/dir3/textfile6.txt": "Text file 6\n",
        "/testbed/textfile7.txt": "Text file 7 with some random contents in it\n",
        f"{deep}/file.txt": "Text file in tmp\n",
        "/testbed/recent.txt": "",
        f"{deep}/tmp/tmp.txt": "Text file in tmp\n",
        **_programs('"'),
        "/testbed/Hello.java": _JAVA % ("Hello", "Hello world"),
        "/testbed/Hello1.java": _JAVA % ("Hello", "Hello world"),
        "/testbed/NewClass.java": _JAVA % ("NewClass", "This is a new Java file"),
        "/testbed/dir2/subdir1/javafile1.java": _JAVA % ("FirstClass", "This is Java file 1"),
        "/testbed/dir1/AnotherHello.java": _JAVA % ("Hello", "Hello world"),
        **_TABLES,
        "/testbed/hello.php": '<?php echo "Hello, world!"; ?>\n',
        "/testbed/dir1/info.php": "<?php phpinfo(); ?>\n",
        "/testbed/hello.c": '#include <stdio.h>\nint main() {\n  printf(\\"Hello, world!\\");\n  return 0;\n}\n',
        f"{deep}/FooBar/file.txt": "A sample file with FooBar\n",
        "/testbed/FooBar.html": _html("Hello, FooBar!"),
        "/index.html": _html("Hello, world!"),
    }
    times = {"/testbed/recent.txt": "2023 5 31 23 59 59", f"{deep}/tmp/tmp.txt": "2022 5 31 23 59 59"}
    return _folders([*_TESTBED, f"{deep}/tmp", f"{deep}/FooBar"]) + _texts(texts, (*_SCRIPTS, *_PYTHONS), times)


def _html(heading: str) -> str:
    return f"<html><head><title>Test</title></head><body><h1>{heading}</h1></body></html>\n"


def _test_queries() -> list[File]:
    texts = {
        "/testbed/dir1/textfile1.txt": "Hello, World!\n",
        "/testbed/dir2/subdir1/textfile2.txt": "Another text file\n",
        f"{_SUB3}/subsubdir1/textfile3.txt": "Yet another text file\n",
        f"{_SUB1}/textfile4.txt": "Text file 4\n",
        f"{_SUB2}/textfile5.txt": "Text file 5\n",
        "/testbed/dir3/textfile6.txt": "Text file 6\n",
        **_programs("'"),
        **_TABLES,
    }
    return _folders(_TESTBED) + _texts(texts, (*_SCRIPTS, *_PYTHONS))


# ---- the second file system

_ELF = bytes.fromhex("7f454c4601010100000000000000000002000300010000000000000080040800800408") + b"\n"
_SQL = "".join(
    f"{line}\n"
    for line in (
        "CREATE TABLE Persons (",
        "PersonID int,",
        *(f"{name} varchar(255)," for name in ("LastName", "FirstName", "Address")),
        "City varchar(255)",
        ");",
    )
)
_LINES = "The first line\nThe second line\nThe third line\nThe fourth line;\nThe fifth line\n"
_NEW = "\n# New script file"


def _second() -> list[File]:
    one, two, three = (f"/system/folder{n}" for n in (1, 2, 3))
    folders = [one, two, three, f"{three}/temp", f"{three}/temp/temp1", f"{three}/temp/temp1/temp"]
    folders += [f"{three}/temp/temp1/temp_1", f"{three}/backup_dbg", f"{three}/backup_dbg/backup", "/system/temp"]
    texts: dict[str, str | bytes] = {
        "/system/text1.txt": "Hello world!\n",
        f"{one}/text2.txt": "Another hello world file\n",
        f"{one}/text3.txt": "- e Hello!\\nAnother hello world file\n",  # written by an echo with "- e"
        f"{one}/text4.txt": "Hello!\nAnother hello world file\n",
        f"{one}/keep.txt": "Keep this file\n",
        "/system/text3.txt": "Foo!\n The first line in this file is foo\n",
        f"{two}/text1.txt": "The first foo file in this directory!\n",
        f"{two}/special_text1.txt": "The file with special name\n",
        f"{two}/special_text2.txt": "The second file with special name\n",
        f"{two}/special text3.txt": "The third file with special name\n",
        f"{three}/special text4.txt": "The fourth file with special name\n",
        f"{three}/temp/temp1/text1.txt": _LINES,
        f"{three}/backup_dbg/text1_dbg.txt": "The first line\n\n\n",
        f"{three}/temp/empty.txt": "",
        "/.placeholder": "",
        "/system/html1.html": "<html>\n<head>\n<title>HTML File 1</title>\n</head>\n<body>\n<h1>HTML File 1</h1>\n"
        "<p>This is the first HTML file</p>\n</body>\n</html>\n",
        f"{one}/a.out": _ELF,
        "/system/a.out": _ELF,
        f"{one}/doc1.doc": "This is a doc file\n",
        f"{one}/doc2.doc": "This is another doc file\n",
        f"{one}/log1.log": "This is a log file\n",
        f"{three}/backup_dbg/sql1.sql": _SQL,
        f"{one}/script1.sh": _script("bash", "\n# This is a script file"),
        f"{one}/new.sh": _script("bash", _NEW),
        f"{one}/data.csv": "1,2,3,4,5,6,7,8,9,10\n",
        "/system/.DS_Store": "",
        "/system/MANIFEST": "text1.txt\ntext3.txt\n",
        f"{one}/recent.txt": "",
        f"{one}/old2.txt": "",  # old.txt is given a time that does not exist, and is not made
        "/system/temp/keep.txt": "",
    }
    times = {
        "/system/a.out": "2023 4 1 23 59 0",
        f"{three}/backup_dbg/sql1.sql": "2023 3 1 23 59 0",
        f"{one}/recent.txt": "2023 5 31 23 59 59",
        f"{one}/old2.txt": "2023 3 1 23 59 59",
        "/system/temp/keep.txt": "2023 3 1 21 59 59",
    }
    files = _folders(folders) + _texts(texts, times=times)
    inside = [two, *(path for path in texts if path.startswith(f"{two}/"))]
    return [*files, File("/system/folder2.tar.gz", _archive(files, inside))]


# ---- the third file system, and the fourth, which has no files of its own


def _third() -> list[File]:
    one, two = "/workspace/dir1", "/workspace/dir2"
    folders = ["/backup", one, two, f"{two}/mysql", "/workspace/test", "/workspace/test/dir1"]
    folders += ["/workspace/test/2dir", "/workspace/test/3dir"]  # the command for 1dir fails
    scripts = {f"{one}/script1.sh": "\n# This is a script file", f"{one}/new1.sh": _NEW, "/workspace/new.sh": _NEW}
    texts: dict[str, str | bytes] = {
        f"{one}/hello.c": '#include <stdio.h>\n\nint main() {\n\tprintf("Hello, World!");\n\treturn 0;\n}\n',
        f"{one}/sum.c": "#include <stdio.h>\n\nint main() {\n\tint a, b, sum;\n"
        '\tprintf("Enter two numbers to add\\n");\n\tscanf("%d%d", &a, &b);\n\tsum = a + b;\n'
        '\tprintf("Sum of entered numbers = %d\\n",sum);\n\treturn 0;\n}\n',
        **{path: _script("bash", text) for path, text in scripts.items()},
        f"{one}/hello.txt": "hello!\n",
        f"{two}/foo.txt": "Another hello world file\n",
        f"{two}/hello.txt": "hello!\n",
        f"{one}/long.txt": _LINES,
        f"{one}/terminate.txt": f"{_LINES}TERMINATEThe sixth line--\n",
        "/workspace/results.txt": f"{one}\n",
        "/workspace/files.txt": f"{two}/foo.txt\n",
        f"{one}/a.txt": "The first line\n" + "\n" * 10,
        f"{one}/file.txt": bytes(4096),  # dd writes over its text
        "/backup/file.txt": "new file\n\n",
        f"{one}/file.c": bytes(2048),
        "/workspace/recent1.txt": "",  # the times of recent.txt, old.txt and old1.txt do not exist
        "/workspace/old2.txt": "",
        f"{one}/.hidden1.txt": "This is a hidden file\n",
        "/workspace/.hidden.txt": "This is another hidden file\n",
        f"{two}/mysql/sql1.sql": _SQL,
        f"{two}/csvfile1.csv": "column1,column2,column3\nvalue1,value2,value3\nvalue4,value5,value6\n"
        "value7,values8,values9\n",
    }
    times = {"/workspace/recent1.txt": "2023 5 31 23 59 59", "/workspace/old2.txt": "2023 1 31 23 59 59"}
    files = _folders(folders) + _texts(texts, scripts, times)
    files += [File(f"{one}/readonly.txt", b"", 0o400), File(f"{one}/all.txt", b"", 0o777)]
    return [*files, File("/workspace/archive.tar.gz", _archive(files, [f"{two}/foo.txt"]))]


FILE_SYSTEMS: dict[str, tuple[File, ...]] = {
    "1": tuple(_first()),
    "2": tuple(_second()),
    "3": tuple(_third()),
    "4": (),
    "test": tuple(_test_queries()),
}
