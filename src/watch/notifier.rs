//! The notify crate, and what of its events is a change.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::event::{AccessKind, AccessMode, DataChange, ModifyKind, RenameMode};
use notify::{
    Config, ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
};

use super::interests::{Arming, DirectoryId, Interests};
use super::{Followed, Touch};
use crate::error::{Cause, Error};
use crate::guard::{guarded, quiet_on_this_thread};
use crate::source::Lookup;
use crate::sys::with_signals_blocked;

/// The process's one inotify instance, and the thread that reads it.
pub(super) struct Notifier {
    /// Taken only when this is dropped.
    watcher: Option<RecommendedWatcher>,
}

impl Drop for Notifier {
    fn drop(&mut self) {
        // notify panics here when its thread has gone.
        let _ = guarded(|| drop(self.watcher.take()));
    }
}

impl Notifier {
    pub(super) fn start(interests: &Arc<Interests>) -> Result<Self, Error> {
        let interests = interests.clone();
        let handler = move |event: notify::Result<Event>| {
            quiet_on_this_thread();
            match event {
                Ok(event) => tell(&interests, &event),
                Err(_) => interests.tell(Touch::Everything),
            }
        };
        // Its thread is born inside this call.
        with_signals_blocked(|| RecommendedWatcher::new(handler, Config::default()))
            .map(|watcher| Self { watcher: Some(watcher) })
            .map_err(|error| Error::system("inotify is not available", &words_of(&error)))
    }

    /// Whether its thread answers. It may not even have started: notify does not say so.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.ask(|watcher| watcher.configure(Config::default())), Ok(Ok(_)))
    }

    /// Asks notify, which panics when its thread has gone.
    fn ask<T>(&mut self, question: impl FnOnce(&mut RecommendedWatcher) -> T) -> Result<T, String> {
        let Some(watcher) = &mut self.watcher else { return Err("dropped".to_owned()) };
        guarded(|| question(watcher))
    }

    /// Watches every directory of `lookups` that decides and is not watched yet; in the place of one
    /// that does not exist, the nearest above it that does. Returns those that are watched now.
    ///
    /// Directories that merely lead the way are left alone: `/etc` or `/tmp` would wake us each time
    /// that anybody opens a file there. Should one of them be replaced, the poll finds out.
    pub(super) fn arm(
        &mut self,
        interests: &Interests,
        lookups: &[Lookup],
        followed: &mut Followed,
    ) -> HashSet<PathBuf> {
        let mut watched = HashSet::new();
        for lookup in lookups.iter().filter(|lookup| lookup.decides) {
            for directory in lookup.directory.ancestors() {
                if watched.contains(directory) {
                    break;
                }
                match self.arm_one(interests, directory) {
                    Ok(newly_armed) => {
                        followed.look_again |= newly_armed;
                        watched.insert(directory.to_owned());
                        break;
                    }
                    Err(error) if error.cause == Cause::NotFound => {}
                    Err(error) => {
                        followed.trouble.get_or_insert(error);
                        break;
                    }
                }
            }
        }
        watched
    }

    fn arm_one(&mut self, interests: &Interests, directory: &Path) -> Result<bool, Error> {
        let id = identity_of(directory).map_err(|error| Error::at(directory, error))?;
        // Noted first: should the directory go while it is being armed, the notifier's thread
        // strikes the note out, and the next look arms anew.
        let mut arming = interests.begin_arming(directory, id);
        if let Arming::UnderAnotherPath(other) = &arming
            && identity_of(other).ok() != Some(id)
        {
            // It was renamed, and the kernel's word of that is still on its way.
            self.unwatch(other);
            interests.arming_failed(other);
            arming = interests.begin_arming(directory, id);
        }
        match arming {
            Arming::Already => return Ok(false),
            Arming::Needed => {}
            Arming::UnderAnotherPath(other) => {
                let reason =
                    format!("is the same directory as {}, and watched there", other.display());
                return Err(Error::at(directory, Cause::Io(reason)));
            }
        }
        // notify may still have a watch for the directory that stood here before.
        self.unwatch(directory);
        let failed = match self.ask(|watcher| watcher.watch(directory, RecursiveMode::NonRecursive))
        {
            Ok(Ok(())) => return Ok(true),
            Ok(Err(error)) => cause_of(&error),
            Err(panic) => Cause::Io(panic),
        };
        interests.arming_failed(directory);
        Err(Error::at(directory, failed))
    }

    pub(super) fn disarm_unwanted(&mut self, interests: &Interests) {
        for directory in interests.take_unwanted() {
            self.unwatch(&directory);
        }
    }

    fn unwatch(&mut self, directory: &Path) {
        // A watch that the kernel has taken away already is no loss.
        let _ = self.ask(|watcher| watcher.unwatch(directory));
    }
}

fn identity_of(directory: &Path) -> io::Result<DirectoryId> {
    fs::metadata(directory).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Sorts an event of notify: reading is none of our business, for we read ourselves.
fn tell(interests: &Interests, event: &Event) {
    if event.need_rescan() {
        interests.disarmed_below(Path::new("/"));
        interests.tell(Touch::Everything);
        return;
    }
    for path in &event.paths {
        let kind = event.kind;
        if kind == EventKind::Access(AccessKind::Close(AccessMode::Write)) {
            interests.tell(Touch::Closed(path));
        } else if kind == EventKind::Modify(ModifyKind::Data(DataChange::Any)) {
            interests.tell(Touch::Written(path));
        } else if !kind.is_access() {
            if kind.is_remove() || kind == EventKind::Modify(ModifyKind::Name(RenameMode::From)) {
                interests.disarmed_below(path);
            }
            interests.tell(Touch::Changed(path));
        }
    }
}

fn cause_of(error: &notify::Error) -> Cause {
    match &error.kind {
        ErrorKind::Io(error) if error.kind() == io::ErrorKind::NotADirectory => Cause::NotFound,
        ErrorKind::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Cause::Permission
        }
        ErrorKind::PathNotFound | ErrorKind::WatchNotFound => Cause::NotFound,
        _ => Cause::Io(format!("cannot be watched: {}", words_of(error))),
    }
}

fn words_of(error: &notify::Error) -> String {
    match &error.kind {
        ErrorKind::MaxFilesWatch => "the limit of inotify watches is reached \
             (fs.inotify.max_user_watches)"
            .to_owned(),
        ErrorKind::Io(error) if error.raw_os_error() == Some(libc::EMFILE) => {
            "the limit of inotify instances (fs.inotify.max_user_instances) or of descriptors \
             is reached"
                .to_owned()
        }
        ErrorKind::Io(error) => error.to_string(),
        ErrorKind::Generic(words) => words.clone(),
        other => format!("{other:?}"),
    }
}
