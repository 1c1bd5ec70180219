//! Links the shared library as a good citizen, and generates both C headers.
//!
//! `certreload.h` comes from `src/ffi` and is compared with the committed copy by a test;
//! `rustls.h` comes from the sources of the rustls-ffi crate in use, in a form that also compiles as
//! C++. Both go to `OUT_DIR/include`, where `CMakeLists.txt` finds them.

#![allow(clippy::expect_used, reason = "a build that cannot go on says why, and ends")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
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
    let mut builder = cbindgen::Builder::new().with_config(read_config(&root));
    for source in ffi_sources(&root) {
        builder = builder.with_src(source);
    }
    builder.generate().expect("src/ffi is readable to cbindgen").write_to_file(header);
}

fn generate_rustls_header(header: &Path) {
    let crate_root = rustls_ffi_root();
    let mut config = read_config(&crate_root);
    config.cpp_compat = true;
    // The functions of the aws-lc-rs provider are in this library, so the header shows them.
    let after_includes = config.after_includes.get_or_insert_default();
    after_includes.push_str("\n#ifndef DEFINE_AWS_LC_RS\n#define DEFINE_AWS_LC_RS\n#endif\n");
    cbindgen::Builder::new()
        .with_config(config)
        .with_src(crate_root.join("src/lib.rs"))
        .generate()
        .expect("the sources of rustls-ffi are readable to cbindgen")
        .write_to_file(header);
}

/// The C types in the order in which a reader of the header wants to meet them.
fn ffi_sources(root: &Path) -> Vec<PathBuf> {
    [
        "result",
        "last_error",
        "version",
        "event",
        "options",
        "trust_options",
        "sessions",
        "watch_options",
        "key_password",
        "status",
        "trust_status",
        "metrics",
        "handle",
        "memory",
        "event_loop",
        "connection",
        "generation",
        "identity",
        "log",
    ]
    .iter()
    .map(|name| root.join("src/ffi").join(name).with_extension("rs"))
    .collect()
}

fn read_config(root: &Path) -> cbindgen::Config {
    cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml is valid")
}

/// Where cargo keeps the sources of the rustls-ffi release that this build links.
fn rustls_ffi_root() -> PathBuf {
    let output = Command::new(required_path("CARGO"))
        .args(["metadata", "--format-version=1", "--offline", "--manifest-path"])
        .arg(required_path("CARGO_MANIFEST_DIR").join("Cargo.toml"))
        .output()
        .expect("cargo can be run");
    let metadata = String::from_utf8_lossy(&output.stdout);
    let manifest = manifest_path_of(&metadata, "rustls-ffi").unwrap_or_else(|| {
        panic!("cargo metadata knows no rustls-ffi: {}", String::from_utf8_lossy(&output.stderr))
    });
    manifest.parent().expect("a manifest lies in a directory").to_path_buf()
}

/// Finds `"name":"<name>"` among cargo's packages, and the `"manifest_path"` that follows it.
fn manifest_path_of(metadata: &str, name: &str) -> Option<PathBuf> {
    let package = format!("{{\"name\":\"{name}\",\"version\":");
    let rest = &metadata[metadata.find(&package)?..];
    let key = "\"manifest_path\":\"";
    let rest = &rest[rest.find(key)? + key.len()..];
    Some(PathBuf::from(&rest[..rest.find('"')?]))
}

fn required_path(variable: &str) -> PathBuf {
    env::var_os(variable).map_or_else(|| panic!("{variable} is not set"), PathBuf::from)
}
