//! The inotify instance: one watch for each inode, however many ways lead to it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use inotify::{Event, EventMask, Inotify, WatchDescriptor, WatchMask};

use super::targets::{Want, places_of};
use super::{BackendEvent, Subscribed, Subscriber};
use crate::error::{Cause, Error};
use crate::files::Lookup;
use crate::sys::InheritedFd;

/// Room for some hundred events.
const BUFFER: usize = 16 * 1024;
/// Reads in one go: some thousand events. What is left makes the descriptor readable again.
const READS: usize = 8;

/// One inotify instance and what it watches. The kernel is asked anew each time a place is watched:
/// it alone knows whether the path still leads to the inode that it watches.
pub(super) struct Backend {
    inotify: Inotify,
    notifier: Option<Arc<OwnedFd>>,
    watches: HashMap<WatchDescriptor, Watch>,
    /// Which watch a path has, and who wants what there.
    places: HashMap<PathBuf, WatchedInode>,
    wanted: BTreeMap<Subscriber, Vec<(PathBuf, Want)>>,
}

/// One inode. Two paths share it where a directory is mounted in two places.
struct Watch {
    mask: WatchMask,
    paths: BTreeSet<PathBuf>,
}

#[derive(Default)]
struct WatchedInode {
    watch: Option<WatchDescriptor>,
    /// How many followers want each of [`Want::ALL`].
    wants: [usize; Want::ALL.len()],
}

impl Backend {
    pub(super) fn start() -> Result<Self, Error> {
        let started = if testing::fault() == testing::BROKEN {
            Err(io::Error::from_raw_os_error(libc::EMFILE))
        } else {
            Inotify::init()
        };
        let inotify = started
            .map_err(|error| Error::system("inotify is not available", &words_of_start(&error)))?;
        Ok(Self {
            inotify,
            notifier: None,
            watches: HashMap::new(),
            places: HashMap::new(),
            wanted: BTreeMap::new(),
        })
    }

    pub(super) fn descriptor(&self) -> RawFd {
        self.inotify.as_raw_fd()
    }

    /// A second descriptor for the same, for as long as somebody keeps it.
    pub(super) fn notifier(&mut self) -> Option<Arc<OwnedFd>> {
        if self.notifier.is_none() {
            self.notifier = self.inotify.as_fd().try_clone_to_owned().ok().map(Arc::new);
        }
        self.notifier.clone()
    }

    /// In a child that was forked: closes the child's descriptors for what the parent goes on with.
    pub(super) fn abandon(self) {
        let Self { inotify, notifier, .. } = self;
        InheritedFd::Notifications.close(inotify.as_raw_fd());
        if let Some(notifier) = &notifier {
            InheritedFd::Notifications.close(notifier.as_raw_fd());
        }
        // Nobody closes the numbers again.
        std::mem::forget((inotify, notifier));
    }

    /// Watches every place of `lookups` for `follower`, and none of those before that is not one.
    pub(super) fn watch(
        &mut self,
        follower: Subscriber,
        lookups: &[Lookup],
        outcome: &mut Subscribed,
    ) {
        let places = places_of(lookups);
        for (path, want) in &places {
            self.place(path).wants[*want as usize] += 1;
        }
        let mut before = self.wanted.insert(follower, places.clone()).unwrap_or_default();
        for (path, want) in &places {
            let was_watched = self.descriptor_of(path);
            let mut armed = self.arm(path);
            if armed == Err(no_room()) {
                // What is about to be given up is room enough as often as not.
                self.give_up(&std::mem::take(&mut before));
                armed = self.arm(path);
            }
            if was_watched.is_some() && self.descriptor_of(path) != was_watched {
                outcome.moved.push(path.clone());
            }
            match armed {
                Ok(gained) => outcome.look_again |= gained,
                // It went since it was looked up.
                Err(Cause::NotFound) => outcome.look_again = true,
                Err(Cause::Permission) if !want.must_be_readable() => {}
                Err(cause) => {
                    outcome.trouble.get_or_insert(Error::at(path, cause));
                }
            }
        }
        self.give_up(&before);
    }

    /// Watches nothing any more for `follower`.
    pub(super) fn forget(&mut self, follower: Subscriber) {
        let places = self.wanted.remove(&follower).unwrap_or_default();
        self.give_up(&places);
    }

    /// Takes what there is to tell, in order.
    pub(super) fn read(&mut self, told: &mut Vec<BackendEvent>) -> io::Result<()> {
        if testing::fault() != testing::NONE {
            return Err(io::ErrorKind::Other.into());
        }
        let mut buffer = [0; BUFFER];
        for _ in 0..READS {
            let events: Vec<_> = match self.inotify.read_events(&mut buffer) {
                Ok(events) => events.map(|event| event.to_owned()).collect(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            for event in &events {
                self.take_in(event, told);
            }
        }
        Ok(())
    }

    /// Turns an event into paths. A watch that is gone is forgotten: its followers are told, and
    /// will follow anew.
    fn take_in(&mut self, event: &Event<std::ffi::OsString>, told: &mut Vec<BackendEvent>) {
        if event.mask.contains(EventMask::Q_OVERFLOW) {
            told.push(BackendEvent::Overflow);
            return;
        }
        let Some(watch) = self.watches.get(&event.wd) else { return };
        for path in &watch.paths {
            let path: Arc<Path> = match &event.name {
                Some(name) => path.join(name).into(),
                None => path.as_path().into(),
            };
            let news = if event.mask.contains(EventMask::CLOSE_WRITE) {
                BackendEvent::Closed(path)
            } else if event.mask.contains(EventMask::MODIFY) {
                BackendEvent::Written(path)
            } else {
                BackendEvent::Changed(path)
            };
            // A file's directory tells what the file tells, and a writer writes again and again.
            if told.last() != Some(&news) {
                told.push(news);
            }
        }
        if event.mask.contains(EventMask::IGNORED)
            && let Some(watch) = self.watches.remove(&event.wd)
        {
            for path in watch.paths {
                self.place(&path).watch = None;
            }
        }
    }

    fn descriptor_of(&self, path: &Path) -> Option<WatchDescriptor> {
        self.places.get(path).and_then(|place| place.watch.clone())
    }

    fn place(&mut self, path: &Path) -> &mut WatchedInode {
        self.places.entry(path.to_owned()).or_default()
    }

    /// Makes the kernel watch what `path` leads to now, for all that is wanted there; tells whether
    /// that is more than before.
    fn arm(&mut self, path: &Path) -> Result<bool, Cause> {
        let wanted = self.mask_of(path);
        // What another way to the same inode wants stays.
        let mask = wanted | WatchMask::DONT_FOLLOW | WatchMask::MASK_ADD;
        let descriptor = self.inotify.watches().add(path, mask).map_err(|error| {
            // The watch of a place that may not be entered any more still tells when it may again.
            if error.kind() != io::ErrorKind::PermissionDenied {
                self.detach(path);
            }
            cause_of(&error)
        })?;
        let place = self.place(path);
        let moved = place.watch.as_ref() != Some(&descriptor);
        if moved {
            self.detach(path);
            self.place(path).watch = Some(descriptor.clone());
        }
        let watch = self
            .watches
            .entry(descriptor)
            .or_insert_with(|| Watch { mask: WatchMask::empty(), paths: BTreeSet::new() });
        if moved {
            watch.paths.insert(path.to_owned());
        }
        let gained = moved || !watch.mask.contains(wanted);
        watch.mask |= wanted;
        Ok(gained)
    }

    fn mask_of(&self, path: &Path) -> WatchMask {
        let Some(place) = self.places.get(path) else { return WatchMask::empty() };
        let wanted = Want::ALL.iter().filter(|want| place.wants[**want as usize] > 0);
        wanted.fold(WatchMask::empty(), |mask, want| mask | want.mask())
    }

    /// Takes back what a follower wanted, and watches no more than what others want.
    fn give_up(&mut self, places: &[(PathBuf, Want)]) {
        for (path, want) in places {
            self.place(path).wants[*want as usize] -= 1;
        }
        for (path, _) in places {
            let mask = self.mask_of(path);
            if mask.is_empty() {
                self.detach(path);
                self.places.remove(path);
            } else {
                self.narrow(path);
            }
        }
    }

    /// `path` has no part in its watch any more; a watch that is nobody's ends.
    fn detach(&mut self, path: &Path) {
        let Some(descriptor) = self.places.get_mut(path).and_then(|place| place.watch.take())
        else {
            return;
        };
        let Some(watch) = self.watches.get_mut(&descriptor) else { return };
        watch.paths.remove(path);
        if watch.paths.is_empty() {
            self.watches.remove(&descriptor);
            // A watch that the kernel has taken away already is no loss.
            let _ = self.inotify.watches().remove(descriptor);
        }
    }

    /// Watches for no more than what is wanted: a directory that became one that merely leads the
    /// way tells of nothing else.
    fn narrow(&mut self, path: &Path) {
        let Some(descriptor) = self.descriptor_of(path) else { return };
        let Some(watch) = self.watches.get(&descriptor) else { return };
        let wanted = watch.paths.iter().map(|path| self.mask_of(path));
        let wanted = wanted.fold(WatchMask::empty(), |all, mask| all | mask);
        // What is not watched yet is for `arm` to begin, which tells of it.
        let kept = watch.mask & wanted;
        if watch.mask == kept {
            return;
        }
        let Ok(again) = self.inotify.watches().add(path, kept | WatchMask::DONT_FOLLOW) else {
            return;
        };
        if again != descriptor {
            // The path leads elsewhere by now. What was changed there ends: if it was somebody's, the
            // kernel tells so, and it is followed anew.
            let _ = self.inotify.watches().remove(again);
        } else if let Some(watch) = self.watches.get_mut(&descriptor) {
            watch.mask = kept;
        }
    }
}

fn cause_of(error: &io::Error) -> Cause {
    match error.raw_os_error() {
        Some(libc::ENOSPC) => no_room(),
        Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP) => Cause::NotFound,
        Some(libc::EACCES) => Cause::Permission,
        _ => Cause::Io(format!("cannot be watched: {error}")),
    }
}

fn no_room() -> Cause {
    Cause::Io(
        "cannot be watched: the limit of inotify watches is reached (fs.inotify.max_user_watches)"
            .to_owned(),
    )
}

fn words_of_start(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EMFILE) => "the limit of inotify instances (fs.inotify.max_user_instances) or \
             of descriptors is reached"
            .to_owned(),
        _ => error.to_string(),
    }
}

/// Faults for tests to make.
pub(crate) mod testing {
    use std::sync::atomic::{AtomicU8, Ordering};

    pub(crate) const NONE: u8 = 0;
    /// inotify is not to be had.
    pub(crate) const BROKEN: u8 = 1;
    /// It is to be had, and tells nothing.
    pub(crate) const DEAF: u8 = 2;

    static FAULT: AtomicU8 = AtomicU8::new(NONE);

    /// Makes one of the faults, or none.
    pub(crate) fn set_fault(fault: u8) {
        FAULT.store(fault, Ordering::SeqCst);
    }

    pub(super) fn fault() -> u8 {
        FAULT.load(Ordering::SeqCst)
    }
}
