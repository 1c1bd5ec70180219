//! Turns the output of cbindgen into a header that reads as an API: sections, in the order of the sources.
//!
//! cbindgen prints all constants, then all types, then all functions. Here each declaration goes to the section of
//! its source file, at the place that it has there. The sections are listed below.

use std::collections::BTreeMap;
use std::path::Path;

/// A heading, a sentence about the section, and the files of `src/ffi` whose declarations it has.
type Section = (&'static str, &'static str, &'static [&'static str]);

pub(crate) const SECTIONS: &[Section] = &[
    (
        "Results and versions",
        "What a call returns, why it failed, and which release runs.",
        &["result", "result_description", "last_error", "version"],
    ),
    (
        "Open and close",
        "Options (below) name the files. A handle loads and watches them.",
        &["handle"],
    ),
    (
        "Per connection",
        "One call for each connection, in either role. It never blocks.",
        &["new_connection"],
    ),
    (
        "Reload",
        "Requests to reload now, and identities that the host passes as bytes.",
        &["reload", "identity_bytes", "push_identity"],
    ),
    (
        "Events and log",
        "What happened, as structs for the program and as lines for people.",
        &["event", "userdata", "event_callback", "set_event_callback", "log"],
    ),
    (
        "Status",
        "Health, failures and dates, as structs and as metrics.",
        &["status/mod", "status/trust", "metrics"],
    ),
    (
        "Options",
        "What to load, when to scan it, and who is notified.",
        &[
            "options/options_object",
            "options/mod",
            "options/required_name",
            "options/identity_memory",
            "options/start",
            "options/watch",
            "options/key_password",
            "options/setter_failures",
        ],
    ),
    (
        "Trust store",
        "Options about peers: roots, revocation lists, client authentication, the client role.",
        &["options/trust"],
    ),
    ("Sessions", "Which TLS sessions are resumed, and how to end them all.", &["sessions"]),
    (
        "Fork and event loops",
        "For hosts that fork, or that do the work on their own threads.",
        &["after_fork", "event_loop"],
    ),
    (
        "Other TLS stacks",
        "Adapters, such as certreload_openssl.h, and what TLS stacks other than rustls need.",
        &["options/tls", "adapter", "view", "generation_for_adapters", "trust_store"],
    ),
    (
        "Introspection",
        "A consistent view of what is served: generations and identities.",
        &["generation", "identity_getters"],
    ),
];

/// Handles of these types are passed everywhere, so they are declared before the first section.
const OPAQUE: [&str; 6] = [
    "certreload_handle",
    "certreload_options",
    "certreload_generation",
    "certreload_identity",
    "certreload_trust_store",
    "certreload_view",
];

const OPEN_EXTERN_C: &str = "#ifdef __cplusplus\nextern \"C\" {\n#endif // __cplusplus\n";
const CLOSE_EXTERN_C: &str = "#ifdef __cplusplus\n}  // extern \"C\"\n#endif  // __cplusplus\n";

/// C23 and C++ have enums of a fixed type. In C11 the type is the integer, because no tag may share its name in C++.
const ENUM_MACRO: &str = "\
/* An enum of 32 bits in every language: results of later releases fit, and so does any number from outside. */
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
#define CERTRELOAD_ENUM(name)                                                                      \\
    enum name : uint32_t;                                                                          \\
    typedef enum name name;                                                                        \\
    enum name : uint32_t
#else
#define CERTRELOAD_ENUM(name)                                                                      \\
    typedef uint32_t name;                                                                         \\
    enum
#endif
";

/// Sorts the declarations of `generated` into sections. `read` returns the text of a source file.
pub(crate) fn arrange(generated: &str, read: impl Fn(&Path) -> String) -> String {
    let generated = generated.replacen(OPEN_EXTERN_C, "", 1).replacen(CLOSE_EXTERN_C, "", 1);
    let (start, rest) = generated.split_once("\n/**\n").expect("a header has declarations");
    let (body, end) = rest.rsplit_once("#endif").expect("a header ends with its include guard");

    let mut items = BTreeMap::new();
    for item in body.split("\n/**\n") {
        // A function of a module that two files lead to is printed twice.
        items.insert(name_of(item), format!("/**\n{}\n", plain_enum(item.trim_end())));
    }

    let mut header = format!("{}\n\n{ENUM_MACRO}\n{OPEN_EXTERN_C}\n", start.trim_end());
    for name in OPAQUE {
        header += &items.remove(name).unwrap_or_else(|| panic!("no type {name}"));
        header += "\n";
    }
    for (title, about, files) in SECTIONS {
        header += &heading(title, about);
        for file in *files {
            for name in declared_in(&read(&Path::new(file).with_extension("rs"))) {
                if let Some(item) = items.remove(name.as_str()) {
                    header += &item;
                    header += "\n";
                }
            }
        }
    }
    assert!(items.is_empty(), "in no section: {:?}", items.keys());
    format!("{header}{CLOSE_EXTERN_C}\n#endif{end}")
}

fn heading(title: &str, about: &str) -> String {
    let line = "=".repeat(94);
    format!("/* {line}\n * {title}\n *\n * {about}\n * {line} */\n\n")
}

/// Returns the name that an item declares: a macro, an enum, a struct, a function type or a function.
fn name_of(item: &str) -> String {
    let (_, declaration) = item.split_once("*/\n").expect("each declaration has a comment");
    let first = declaration.lines().next().unwrap_or_default();
    let word = |text: &str| -> String {
        text.trim_start_matches('*')
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    for keyword in ["#define ", "enum ", "typedef struct "] {
        if let Some(rest) = first.strip_prefix(keyword) {
            return word(rest);
        }
    }
    if let Some((_, rest)) = first.split_once("(*") {
        return word(rest);
    }
    let before = first.split('(').next().unwrap_or_default();
    word(before.rsplit(' ').next().unwrap_or_default())
}

/// Writes an enum of cbindgen's in the form of [`ENUM_MACRO`]. Everything else stays as it is.
fn plain_enum(item: &str) -> String {
    let Some((comment, declaration)) = item.split_once("*/\nenum ") else {
        return without_tags(item);
    };
    let (name, rest) = declaration.split_once('\n').expect("an enum has a body");
    let (_, rest) = rest.split_once("\n {\n").expect("an enum has a body");
    let (body, _) = rest.split_once("\n};\n").expect("an enum has an end");
    format!("{comment}*/\nCERTRELOAD_ENUM({name}) {{\n{body}\n}};")
}

/// Leaves out `struct` where a type is used: cbindgen prints it because each struct has a tag.
fn without_tags(item: &str) -> String {
    let definition = "typedef struct certreload_";
    let parts =
        item.split(definition).map(|part| part.replace("struct certreload_", "certreload_"));
    parts.collect::<Vec<_>>().join(definition)
}

/// Returns the names of what a source file declares, in their order there.
fn declared_in(source: &str) -> Vec<String> {
    let kinds = [
        "pub const ",
        "pub enum ",
        "pub struct ",
        "pub type ",
        "pub extern \"C\" fn ",
        "pub unsafe extern \"C\" fn ",
    ];
    let names = source.lines().filter_map(|line| {
        let rest = kinds.iter().find_map(|kind| line.strip_prefix(kind))?;
        rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().map(str::to_owned)
    });
    names.collect()
}
