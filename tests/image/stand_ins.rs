//! Stand-ins for libraries that are linked against but not called: a library that was linked
//! against real ones is opened with stand-ins in their place, and what is called says so.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};

use super::fixture::{Compression, Project, RECIPE, deb, ordinary_members, wheel};

const STAND_INS: &str = "\
stand_ins:
  layer: stand-ins
  to: /opt/ybox/lib
  instead: whole
  libraries:
    - {name: libbig.so.1, symbols: 'big_*'}
    - {name: liblarge.so.2, symbols: 'large_*'}
";

/// Opens the library that it is given, and calls its function of that name.
const OPENER: &str = "
#include <dlfcn.h>
#include <stdio.h>
int main(int count, char **arguments) {
    void *library = dlopen(arguments[1], RTLD_NOW);
    if (!library) { fprintf(stderr, \"%s\\n\", dlerror()); return 3; }
    puts(\"opened\");
    fflush(stdout);
    if (count > 2) ((void (*)(void))dlsym(library, arguments[2]))();
    return 0;
}";

fn compile(folder: &Path, output: &str, source: &str, options: &[&str]) {
    let input = folder.join(format!("{output}.c"));
    fs::write(&input, source).unwrap();
    let mut cc = Command::new("cc");
    cc.current_dir(folder).arg(&input).args(["-o", output]).args(options);
    assert!(cc.status().unwrap().success(), "{cc:?}");
}

/// A library that needs a function with a version of one library and one without of another.
fn user(folder: &Path) -> Vec<u8> {
    let shared = |soname: &str| format!("-Wl,-soname,{soname}");
    fs::write(folder.join("big.map"), "BIG_1 { global: big_call; local: *; };").unwrap();
    let script = "-Wl,--version-script=big.map";
    let big = shared("libbig.so.1");
    compile(folder, "libbig.so", "void big_call(void) {}", &["-shared", "-nostdlib", &big, script]);
    let large = shared("liblarge.so.2");
    compile(folder, "liblarge.so", "void large_call(void) {}", &["-shared", "-nostdlib", &large]);
    let source = "void big_call(void); void large_call(void);
        void use_big(void) { big_call(); }
        void use_large(void) { large_call(); }
        void use_none(void) {}";
    let options =
        ["-shared", "-fPIC", "-nostdlib", "-L.", "-Wl,--no-as-needed", "-lbig", "-llarge"];
    let options = [&options[..], &["-Wl,-rpath,$ORIGIN"]].concat();
    compile(folder, "libuser.so", source, &options);
    fs::read(folder.join("libuser.so")).unwrap()
}

fn project(recipe: &str, library: &[u8]) -> Project {
    let deb = deb(&ordinary_members(), Compression::None);
    Project::of(recipe, &deb, &wheel(&[("beta/lib/libuser.so", 0o755, library)]))
}

fn refusal(recipe: &str, library: &[u8]) -> String {
    let project = project(recipe, library);
    let refused = ybox::ui::Failure::from(project.build().unwrap_err()).to_string();
    assert!(project.store().images().unwrap().is_empty());
    refused
}

fn with(stand_ins: &str) -> String {
    RECIPE.replace("trainer: {", &format!("{stand_ins}trainer: {{"))
}

fn open(folder: &Path, function: &[&str]) -> Output {
    Command::new(folder.join("opener"))
        .arg("./libuser.so")
        .args(function)
        .current_dir(folder)
        .output()
        .unwrap()
}

#[test]
fn a_library_is_opened_with_stand_ins_and_what_it_calls_of_them_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let library = user(dir.path());
    let project = project(&with(STAND_INS), &library);
    let built = project.build().unwrap();
    let names: Vec<_> = built.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["base", "libraries", "stand-ins", "trainer", "presets"]);
    assert!(project.build().unwrap().layers.iter().all(|layer| layer.reused));

    let place = dir.path().join("opened");
    fs::create_dir(&place).unwrap();
    compile(&place, "opener", OPENER, &["-ldl"]);
    for name in ["libuser.so", "libbig.so.1", "liblarge.so.2"] {
        let path = format!("/opt/ybox/lib/{name}");
        fs::write(place.join(name), project.store().read_file(&built.image, &path).unwrap())
            .unwrap();
    }
    for (function, called) in [
        (&[][..], None),
        (&["use_none"], None),
        (&["use_big"], Some("big_call of libbig.so.1")),
        (&["use_large"], Some("large_call of liblarge.so.2")),
    ] {
        let output = open(&place, function);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "opened\n", "{said}");
        let Some(called) = called else {
            assert!(output.status.success(), "{said}");
            continue;
        };
        assert_eq!(output.status.signal(), Some(6), "{said}");
        let sentence = format!(
            "ybox: {called} was called, for which the image of the recipe tiny has only a \
             stand-in; use the recipe whole: ybox build whole\n"
        );
        assert_eq!(said, sentence);
    }
}

#[test]
fn what_no_stand_in_takes_on_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let library = user(dir.path());
    let text = refusal(RECIPE, &library);
    assert!(text.contains("/opt/ybox/lib/libuser.so needs libbig.so.1, which the image"), "{text}");
    let text = refusal(&with(&STAND_INS.replace("large_*", "other_*")), &library);
    assert!(
        text.contains("libuser.so needs large_call, which no library loaded with it defines"),
        "{text}"
    );
    let unneeded = STAND_INS.replace("libbig.so.1", "libtiny.so.1");
    let text = refusal(&with(&unneeded), &library);
    assert!(text.contains("cannot use the stand-in libtiny.so.1"), "{text}");
    assert!(text.contains("it has no library that needs it"), "{text}");
}
