//! Writers that move directories and links, and lay out their place by themselves.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::certificates::Pair;
use super::file_writers::{exchange, relink};
use super::shapes::Place;
use super::sites::{replace, write_private};
use super::writers::Writer;

/// How long a directory is gone: the writer's pace, and not a wait for anything.
const GONE: Duration = Duration::from_millis(60);

/// Where `writer` keeps the file `name` of a place.
pub fn path(writer: Writer, directory: &Path, name: &str) -> PathBuf {
    match writer {
        Writer::Certbot => directory.join("live/a").join(name),
        Writer::CurrentLink => directory.join("current/tls").join(name),
        Writer::AncestorSwapped | Writer::AncestorExchanged | Writer::AncestorVanishes => {
            directory.join("upper/lower").join(name)
        }
        _ => directory.join(name),
    }
}

/// Makes what stays whatever is renewed.
pub fn begin(writer: Writer, place: &Place) {
    let directory = &place.directory;
    match writer {
        Writer::Certbot => {
            fs::create_dir_all(directory.join("archive/a")).unwrap();
            fs::create_dir_all(directory.join("live/a")).unwrap();
        }
        Writer::Kubernetes => {
            for part in &place.parts {
                let name = part.name();
                symlink(Path::new("..data").join(name), directory.join(name)).unwrap();
            }
        }
        Writer::ChainOfLinks => {
            for part in &place.parts {
                let name = part.name();
                symlink(format!("{name}.middle"), directory.join(name)).unwrap();
                // The second of the links is an absolute one.
                let end = directory.join(format!("{name}.end"));
                symlink(end, directory.join(format!("{name}.middle"))).unwrap();
            }
        }
        _ => {}
    }
}

/// Puts `pair` in the place of what is there.
pub fn write(writer: Writer, place: &Place, pair: &Pair, number: u32) {
    let directory = &place.directory;
    match writer {
        Writer::Certbot => certbot(place, pair, number),
        Writer::Kubernetes => {
            let fresh = format!("..{number}");
            fill(&directory.join(&fresh), place, pair);
            relink(fresh.as_ref(), &directory.join("..data"));
            let _ = fs::remove_dir_all(directory.join(format!("..{}", number - 1)));
        }
        Writer::ChainOfLinks => chain_of_links(place, pair, number),
        Writer::CurrentLink => {
            let release = directory.join(format!("release-{number}"));
            fill(&release.join("tls"), place, pair);
            let link = directory.join("current");
            let _ = fs::remove_file(&link);
            symlink(&release, &link).unwrap();
        }
        Writer::SwapDirectory => {
            let fresh = aside(directory, "fresh", number);
            fill(&fresh, place, pair);
            let _ = fs::rename(directory, aside(directory, "old", number));
            fs::rename(&fresh, directory).unwrap();
        }
        Writer::ExchangeDirectories => {
            let fresh = aside(directory, "fresh", number);
            fill(&fresh, place, pair);
            exchange(&fresh, directory);
        }
        Writer::DeleteDirectory => {
            if number > 1 {
                fs::remove_dir_all(directory).unwrap();
                std::thread::sleep(GONE);
            }
            fill(directory, place, pair);
        }
        Writer::AncestorSwapped => {
            let (fresh, upper) =
                (directory.join(format!("fresh{number}")), directory.join("upper"));
            fill(&fresh.join("lower"), place, pair);
            let _ = fs::rename(&upper, directory.join(format!("old{number}")));
            fs::rename(&fresh, &upper).unwrap();
        }
        Writer::AncestorExchanged => {
            let (fresh, upper) =
                (directory.join(format!("fresh{number}")), directory.join("upper"));
            fill(&fresh.join("lower"), place, pair);
            if upper.exists() {
                exchange(&fresh, &upper);
            } else {
                fs::rename(&fresh, &upper).unwrap();
            }
        }
        Writer::AncestorVanishes => {
            let upper = directory.join("upper");
            if number > 1 {
                fs::remove_dir_all(&upper).unwrap();
                std::thread::sleep(GONE);
                fs::create_dir(&upper).unwrap();
                std::thread::sleep(GONE);
            }
            fill(&upper.join("lower"), place, pair);
        }
        _ => panic!("{writer:?} writes files"),
    }
}

/// Four links, of which the host knows two at the most, one after another.
fn certbot(place: &Place, pair: &Pair, number: u32) {
    let split = pair.chain.rfind("-----BEGIN").unwrap();
    let (leaf, beside) = pair.chain.split_at(split);
    let mut files = vec![("cert.pem", leaf.to_owned()), ("issuer.pem", beside.to_owned())];
    files.extend(place.parts.iter().map(|part| (part.name(), part.of(pair))));
    for (name, text) in &files {
        write_private(&place.directory.join(format!("archive/a/{number}.{name}")), text);
    }
    for (name, _) in &files {
        let link = place.directory.join("live/a").join(name);
        relink(format!("../../archive/a/{number}.{name}").as_ref(), &link);
    }
}

/// `name` leads to `name.middle`, and that to `name.end`: by turns another one is replaced.
fn chain_of_links(place: &Place, pair: &Pair, number: u32) {
    for part in &place.parts {
        let (name, text) = (part.name(), part.of(pair));
        let at = |ending: &str| place.directory.join(format!("{name}.{ending}"));
        match number % 3 {
            1 => {
                if at("end").exists() && number > 1 {
                    // What the links lead to by now is somewhere else.
                    let end = fs::canonicalize(place.directory.join(name)).unwrap();
                    replace(&end, &text);
                } else {
                    write_private(&at("end"), &text);
                }
            }
            2 => {
                let fresh = format!("{name}.{number}");
                write_private(&place.directory.join(&fresh), &text);
                let middle = fs::read_link(place.directory.join(name)).unwrap();
                relink(fresh.as_ref(), &place.directory.join(middle));
            }
            _ => {
                let (fresh, file) = (at(&format!("link{number}")), at(&number.to_string()));
                write_private(&file, &text);
                symlink(&file, &fresh).unwrap();
                relink(&fresh, &place.directory.join(name));
            }
        }
    }
}

/// Makes `directory`, and the files of `pair` in it.
fn fill(directory: &Path, place: &Place, pair: &Pair) {
    fs::create_dir_all(directory).unwrap();
    for part in &place.parts {
        write_private(&directory.join(part.name()), &part.of(pair));
    }
}

/// A directory beside `directory`.
fn aside(directory: &Path, what: &str, number: u32) -> PathBuf {
    let mut name = directory.file_name().unwrap().to_owned();
    name.push(format!(".{what}{number}"));
    directory.with_file_name(name)
}
