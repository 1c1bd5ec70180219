//! What a scrape of a host's metrics page finds.

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

mod support;

use std::ffi::{CString, c_char};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::ptr;

use certreload::ffi::metrics::{certreload_write_metrics, certreload_write_metrics_page};
use certreload::ffi::options::certreload_options_set_name;
use certreload::ffi::options::start::{certreload_options_set_start, certreload_start};
use certreload::ffi::options::trust::certreload_options_set_server_roots;
use certreload::ffi::options::watch::certreload_watch;
use certreload::ffi::result::certreload_result as Outcome;
use support::certificates::{Pair, Site, write_private};
use support::host::{Builder, Host, last_error};

fn quiet(site: &Site) -> Builder {
    Builder::new()
        .identity(&site.chain(), &site.key())
        .watch(certreload_watch::Off)
        .debounce_ms(5, 50)
}

fn named(builder: Builder, name: &str) -> Builder {
    let name = CString::new(name).unwrap();
    // SAFETY: live options and a C string.
    let result = unsafe { certreload_options_set_name(builder.0, name.as_ptr()) };
    assert_eq!(result, Outcome::Ok);
    builder
}

/// Asks for the size, then for the text, as a host does.
fn page(write: impl Fn(*mut c_char, usize, *mut usize) -> Outcome) -> String {
    let mut needed = 0;
    assert_eq!(write(ptr::null_mut(), 0, &raw mut needed), Outcome::BufferTooSmall);
    let mut buffer = vec![0xa5_u8; needed];
    assert_eq!(write(buffer.as_mut_ptr().cast(), needed, &raw mut needed), Outcome::Ok);
    assert_eq!(needed, buffer.len());
    assert_eq!(buffer.pop(), Some(0), "the NUL is the last byte that was asked for");
    String::from_utf8(buffer).unwrap()
}

fn metrics(host: &Host) -> String {
    // SAFETY: an open handle, and room as stated.
    page(|buffer, size, needed| unsafe {
        certreload_write_metrics(host.handle, buffer, size, needed)
    })
}

fn has(page: &str, line: &str) {
    assert!(page.lines().any(|other| other == line), "{line} is not in\n{page}");
}

#[test]
fn a_metrics_page_shows_what_the_status_shows() {
    let mut site = Site::plain(&Pair::new(&["a.test"]));
    let host = quiet(&site).open();
    site.renew(&Pair::new(&["a.test"]));
    assert_eq!(host.reload_wait(), Outcome::Ok);
    assert_eq!(host.reload_wait(), Outcome::Unchanged);
    fs::write(site.key(), "garbage").unwrap();
    assert_eq!(host.reload_wait(), Outcome::NoPrivateKey);

    let (page, status) = (metrics(&host), host.status());
    has(&page, "# TYPE certreload_reloads_total counter");
    has(&page, "certreload_reloads_total{result=\"reloaded\"} 1");
    has(&page, "certreload_reloads_total{result=\"failed\"} 1");
    has(&page, &format!("certreload_reloads_total{{result=\"unchanged\"}} {}", status.unchanged));
    has(&page, "certreload_generation 2");
    has(&page, "certreload_generations_alive 1");
    has(&page, &format!("certreload_last_reload_timestamp_seconds {}", status.loaded_at));
    has(&page, &format!("certreload_last_check_timestamp_seconds {}", status.last_checked_at));
    has(&page, "certreload_health{state=\"ok\"} 0");
    has(&page, "certreload_health{state=\"stale\"} 1");
    has(&page, "certreload_watch_state{state=\"off\"} 1");
    has(&page, "certreload_watch_state{state=\"notified\"} 0");

    let one = format!("identity=\"{}\",name=\"a.test\"", site.chain().display());
    let until = host.identity_status(0).not_after;
    has(&page, &format!("certreload_not_after_timestamp_seconds{{{one}}} {until}"));
    has(&page, &format!("certreload_identity_health{{{one},state=\"stale\"}} 1"));
    has(&page, &format!("certreload_identity_health{{{one},state=\"ok\"}} 0"));
    has(&page, &format!("certreload_consecutive_failures{{{one}}} 1"));
}

#[test]
fn warnings_are_series_as_long_as_they_last() {
    let site = Site::plain(&Pair::new(&["a.test"]));
    let roots = site.path("roots.pem");
    fs::write(&roots, Pair::new(&["root.test"]).chain).unwrap();
    fs::set_permissions(site.key(), fs::Permissions::from_mode(0o644)).unwrap();
    let host = named(quiet(&site), "public").server_roots(&roots).open();
    let page = metrics(&host);
    let one = format!("handle=\"public\",identity=\"{}\",name=\"a.test\"", site.chain().display());
    has(&page, "certreload_warning{handle=\"public\",warning=\"key-readable\"} 1");
    has(&page, "certreload_warning{handle=\"public\",warning=\"root-doubtful\"} 1");
    has(&page, &format!("certreload_identity_warning{{{one},warning=\"key-readable\"}} 1"));
    has(&page, "certreload_trust_warning{handle=\"public\",warning=\"root-doubtful\"} 1");
    assert_eq!(page.matches("warning=").count(), 4, "{page}");

    fs::set_permissions(site.key(), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(host.reload_wait(), Outcome::Unchanged);
    assert_eq!(metrics(&host).matches("warning=").count(), 2, "{}", metrics(&host));
}

#[test]
fn handles_on_one_page_have_labels_and_each_family_is_declared_once() {
    let site = Site::plain(&Pair::new(&["a.test"]));
    let public = named(quiet(&site), "public").open();
    let nameless = quiet(&site).open();
    let handles = [public.handle, nameless.handle];
    // SAFETY: open handles, and room as stated.
    let page = page(|buffer, size, needed| unsafe {
        certreload_write_metrics_page(handles.as_ptr(), handles.len(), buffer, size, needed)
    });
    has(&page, "certreload_generation{handle=\"public\"} 1");
    has(&page, "certreload_generation{handle=\"1\"} 1");
    has(&metrics(&public), "certreload_generation{handle=\"public\"} 1");
    for introduction in ["# HELP ", "# TYPE "] {
        let of = |line: &&str| line.starts_with(introduction);
        let mut names: Vec<_> =
            page.lines().filter(of).map(|line| line.split(' ').nth(2).unwrap()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!((names.len(), count), (14, 14), "{introduction}: {names:?}");
    }
    let mut series: Vec<_> = page
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit_once(' ').unwrap().0)
        .collect();
    let count = series.len();
    series.sort_unstable();
    series.dedup();
    assert_eq!(series.len(), count, "a series was written twice");
}

#[test]
fn an_identity_that_was_added_twice_and_one_with_an_odd_name_make_valid_series() {
    let pair = Pair::new(&["a.test"]);
    let site = Site::plain(&pair);
    let odd = site.path("odd \"na\\me\"\n\u{fc}.pem");
    write_private(&odd, &pair.chain);
    let host = quiet(&site).identity(&site.chain(), &site.key()).identity(&odd, &site.key()).open();
    let page = metrics(&host);
    let count = page.matches("\ncertreload_not_after_timestamp_seconds{").count();
    assert_eq!(count, 2);
    assert!(page.contains("odd \\\"na\\\\me\\\"\\n\u{fc}.pem\",name=\"a.test\"}"), "{page}");
}

#[test]
fn of_a_text_that_does_not_fit_nothing_is_written() {
    let site = Site::plain(&Pair::new(&["a.test"]));
    let host = quiet(&site).open();
    let length = metrics(&host).len();
    let mut buffer = vec![0x55_u8; length + 2];
    let mut needed = 0;
    // SAFETY: an open handle, and no more than the buffer has is given as its size.
    let mut write = |size| unsafe {
        let result = certreload_write_metrics(
            host.handle,
            buffer.as_mut_ptr().cast(),
            size,
            &raw mut needed,
        );
        (result, needed, buffer.clone())
    };
    let (result, needed, after) = write(0);
    assert_eq!((result, needed), (Outcome::BufferTooSmall, length + 1));
    assert!(after.iter().all(|byte| *byte == 0x55));
    let (result, needed, after) = write(length);
    assert_eq!((result, needed), (Outcome::BufferTooSmall, length + 1));
    assert_eq!(after[0], 0);
    assert!(after[1..].iter().all(|byte| *byte == 0x55));
    assert!(last_error().contains(&format!("{} bytes are needed", length + 1)), "{}", last_error());
    let (result, _, after) = write(length + 1);
    assert_eq!(result, Outcome::Ok);
    assert_eq!(&after[length..], &[0, 0x55]);
}

#[test]
fn a_loop_that_begins_with_no_buffer_at_all_ends_with_the_text() {
    let site = Site::plain(&Pair::new(&["a.test"]));
    let host = quiet(&site).open();
    for is_null in [true, false] {
        let (mut buffer, mut needed, mut rounds) = (Vec::<u8>::new(), 0, 0);
        loop {
            let room = if is_null && buffer.is_empty() {
                ptr::null_mut()
            } else {
                buffer.as_mut_ptr().cast()
            };
            // SAFETY: an open handle, and room as stated.
            let result = unsafe {
                certreload_write_metrics(host.handle, room, buffer.len(), &raw mut needed)
            };
            rounds += 1;
            if result == Outcome::Ok {
                break;
            }
            assert_eq!(result, Outcome::BufferTooSmall);
            buffer.resize(needed, 0);
        }
        assert_eq!((rounds, buffer.pop()), (2, Some(0)));
        has(&String::from_utf8(buffer).unwrap(), "certreload_generation 1");
    }
}

#[test]
fn handles_with_the_same_label_are_refused_by_name() {
    let site = Site::plain(&Pair::new(&["a.test"]));
    let nameless = quiet(&site).open();
    let zero = named(quiet(&site), "0").open();
    let other_zero = named(quiet(&site), "0").open();
    let write = |handles: &[*mut _]| {
        let mut needed = 77;
        // SAFETY: open handles or NULL, and no room.
        let result = unsafe {
            certreload_write_metrics_page(
                handles.as_ptr(),
                handles.len(),
                ptr::null_mut(),
                0,
                &raw mut needed,
            )
        };
        (result, needed)
    };
    for handles in [[zero.handle, other_zero.handle], [nameless.handle, zero.handle]] {
        assert_eq!(write(&handles), (Outcome::InvalidParameter, 77));
        assert!(last_error().contains("handle=\"0\""), "{}", last_error());
    }
    assert_eq!(write(&[zero.handle, nameless.handle]).0, Outcome::BufferTooSmall);
    assert_eq!(write(&[zero.handle, ptr::null_mut()]).0, Outcome::NullParameter);
    assert_eq!(last_error(), "handles[1] is NULL");
}

#[test]
fn a_handle_that_verifies_peers_has_metrics_of_its_trust_store() {
    let site = Site::plain(&Pair::new(&["a.test"]));
    let builder = named(quiet(&site), "mutual");
    let roots = CString::new(site.chain().to_str().unwrap()).unwrap();
    // SAFETY: live options and a C string.
    let result = unsafe { certreload_options_set_server_roots(builder.0, roots.as_ptr()) };
    assert_eq!(result, Outcome::Ok);
    let host = builder.open();
    let page = metrics(&host);
    has(&page, "certreload_trust_server_roots{handle=\"mutual\"} 1");
    has(&page, "certreload_trust_client_roots{handle=\"mutual\"} 0");
    has(&page, "certreload_trust_crls{handle=\"mutual\"} 0");
    has(&page, "certreload_trust_health{handle=\"mutual\",state=\"ok\"} 1");

    fs::write(site.chain(), "no certificate").unwrap();
    assert_eq!(host.reload_wait(), Outcome::NoCertificate);
    has(&metrics(&host), "certreload_trust_health{handle=\"mutual\",state=\"stale\"} 1");
    let page = metrics(&quiet(&Site::plain(&Pair::new(&["b.test"]))).open());
    assert!(!page.contains("certreload_trust"), "there is none to tell of: {page}");
}

#[test]
fn an_identity_that_was_never_loaded_is_missing_and_has_no_dates() {
    let site = Site::plain(&Pair::new(&["b.test"]));
    let absent = site.path("absent.pem");
    let builder = Builder::new().identity(&absent, &absent).watch(certreload_watch::Off);
    // SAFETY: live options.
    let result =
        unsafe { certreload_options_set_start(builder.0, certreload_start::Available as u32) };
    assert_eq!(result, Outcome::Ok);
    let host = builder.identity(&site.chain(), &site.key()).open();
    let page = metrics(&host);
    let of_a = format!("identity=\"{}\",name=\"\"", absent.display());
    let of_b = format!("identity=\"{}\",name=\"b.test\"", site.chain().display());
    has(&page, "certreload_health{state=\"missing\"} 1");
    has(&page, &format!("certreload_identity_health{{{of_a},state=\"missing\"}} 1"));
    has(&page, &format!("certreload_identity_health{{{of_b},state=\"missing\"}} 0"));
    has(&page, &format!("certreload_consecutive_failures{{{of_a}}} 1"));
    let date = |of: &str| page.contains(&format!("certreload_not_after_timestamp_seconds{{{of}}}"));
    assert!(date(&of_b) && !date(&of_a), "{page}");
}
