//! Asks OpenSSL, by way of Python: one process for all cases.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::case::{Case, Opinion, Verdict};
use crate::trust::TrustCases;

/// The opinion about each of `lines`.
fn ask(lines: &[String]) -> Vec<Opinion> {
    let mut python = Command::new("python3")
        .args(["-c", include_str!("openssl.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = python.stdin.take().unwrap();
    let text = lines.concat();
    let writing = std::thread::spawn(move || input.write_all(text.as_bytes()).unwrap());
    let output = python.wait_with_output().unwrap();
    writing.join().unwrap();
    assert!(output.status.success(), "python3 and its ssl module");
    let answers = String::from_utf8(output.stdout).unwrap();
    let opinions: Vec<_> = answers.lines().map(opinion).collect();
    assert_eq!(opinions.len(), lines.len());
    opinions
}

fn opinion(answer: &str) -> Opinion {
    let (verdict, says) = answer.split_once('\t').unwrap();
    let verdict = match verdict {
        "served" => Verdict::Served,
        "loaded" => Verdict::Loaded,
        _ => Verdict::Refused,
    };
    Opinion::of(verdict, says)
}

pub fn identities(cases: &[Case]) -> Vec<Opinion> {
    let line = |case: &Case| {
        let (chain, key) = (case.chain.display(), case.key.display());
        format!("identity\t{chain}\t{key}\t{}\n", case.password.unwrap_or_default())
    };
    ask(&cases.iter().map(line).collect::<Vec<_>>())
}

pub fn trust(cases: &TrustCases) -> Vec<Opinion> {
    let lines = cases.trust.iter().map(|case| {
        let lists =
            case.lists_path.as_ref().map_or(String::new(), |path| path.display().to_string());
        let mut line = format!("trust\t{}\t{lists}", case.roots_path.display());
        let files = [&cases.chain, &cases.key].into_iter().chain(&case.accepted);
        let files = files.map(|path| path.display().to_string());
        let refused = case.refused.iter().map(|path| path.display().to_string());
        for field in files.chain(["-".to_owned()]).chain(refused) {
            line += "\t";
            line += &field;
        }
        line + "\n"
    });
    ask(&lines.collect::<Vec<_>>())
}
