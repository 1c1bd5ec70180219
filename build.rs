//! Links the shared library as a good citizen, and generates both C headers.
//!
//! `certreload.h` comes from `src/ffi` and is compared with the committed copy by a test;
//! `rustls.h` is the header of the rustls-ffi release in use, in a form that also compiles as C++.
//! Both go to `OUT_DIR/include`, where `CMakeLists.txt` finds them.

#![allow(clippy::expect_used, reason = "a build that cannot go on says why, and ends")]

use std::path::{Path, PathBuf};
use std::{env, fs};

#[path = "build_header.rs"]
mod build_header;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build_header.rs");
    println!("cargo:rerun-if-changed=cbindgen.toml");
    println!("cargo:rerun-if-changed=src/ffi");
    link_arguments();

    let out = required_path("OUT_DIR").join("include");
    fs::create_dir_all(&out).expect("OUT_DIR is writable");
    generate_certreload_header(&out.join("certreload.h"));
    generate_rustls_header(&out.join("rustls.h"));
    println!("cargo:rustc-env=CERTRELOAD_GENERATED_INCLUDE={}", out.display());
    println!("cargo:include={}", out.display());
}

/// A SONAME; our own calls bound to our own code, whatever else the process loads; and code that
/// stays mapped after `dlclose`, because background threads may still be on their way out of it.
fn link_arguments() {
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return;
    }
    let major = env::var("CARGO_PKG_VERSION_MAJOR").expect("set by cargo");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libcertreload.so.{major}");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-Bsymbolic");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,defs");
}

fn generate_certreload_header(header: &Path) {
    let root = required_path("CARGO_MANIFEST_DIR");
    let sources = root.join("src/ffi");
    let mut builder = cbindgen::Builder::new().with_config(read_config(&root));
    for (_, _, files) in build_header::SECTIONS {
        for file in *files {
            builder = builder.with_src(sources.join(file).with_extension("rs"));
        }
    }
    let mut generated = Vec::new();
    builder.generate().expect("src/ffi is readable to cbindgen").write(&mut generated);
    let generated = String::from_utf8(generated).expect("cbindgen writes UTF-8");
    let read = |file: &Path| fs::read_to_string(sources.join(file)).expect("src/ffi is readable");
    fs::write(header, build_header::arrange(&generated, read)).expect("OUT_DIR is writable");
}

/// Copies the header that rustls-ffi's build script publishes, and makes it fit for C++.
///
/// cargo passes the directory on because rustls-ffi is a direct dependency with `links = "rustls_ffi"`. Asking
/// `cargo metadata` instead would need the manifests of packages that a build never downloads.
fn generate_rustls_header(header: &Path) {
    let shipped = required_path("DEP_RUSTLS_FFI_INCLUDE").join("rustls.h");
    println!("cargo:rerun-if-changed={}", shipped.display());
    let text = fs::read_to_string(&shipped).expect("rustls-ffi publishes its header");
    fs::write(header, fit_for_cpp(&text)).expect("OUT_DIR is writable");
}

/// Returns rustls-ffi's header in a form that also compiles as C++, and as C with -Wc++-compat.
///
/// The whole header has C linkage. The functions of the aws-lc-rs provider are visible, because this library exports
/// them. The enum of a fixed type has that type in C++ too; in C11 it has no tag, because in C++ a tag must not share
/// its name with the integer type.
fn fit_for_cpp(shipped: &str) -> String {
    const C23: &str = "#if __STDC_VERSION__ >= 202311L\n";
    const FIRST: &str = "#include <stdlib.h>\n";
    assert!(
        shipped.contains(C23) && shipped.contains(FIRST) && !shipped.contains("__cplusplus"),
        "rustls-ffi's header has another form than build.rs was written for"
    );
    let (includes, declarations) = shipped.split_once(FIRST).expect("asserted above");
    let declarations =
        declarations.replace(C23, "#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L\n");
    let tagged = "enum rustls_result\n#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L\n  : uint32_t\n";
    let untagged = "#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L\nenum rustls_result : uint32_t\n#else\nenum\n";
    assert!(declarations.contains(tagged), "rustls_result is no enum of a fixed type any more");
    let declarations = declarations.replace(tagged, untagged);
    let (declarations, end_of_guard) =
        declarations.rsplit_once("#endif").expect("a header ends with its include guard");
    format!(
        "{includes}{FIRST}\n\
         #ifndef DEFINE_AWS_LC_RS\n#define DEFINE_AWS_LC_RS\n#endif\n\n\
         #ifdef __cplusplus\nextern \"C\" {{\n#endif\n\
         {declarations}\
         #ifdef __cplusplus\n}} // extern \"C\"\n#endif\n\n\
         #endif{end_of_guard}"
    )
}

fn read_config(root: &Path) -> cbindgen::Config {
    cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml is valid")
}

fn required_path(variable: &str) -> PathBuf {
    env::var_os(variable).map_or_else(|| panic!("{variable} is not set"), PathBuf::from)
}
