
/// Added by certreload's tests: what happens inside the race windows of `load` and of its fallback.
pub mod race_window {
    static HOOK: std::sync::OnceLock<fn(usize)> = std::sync::OnceLock::new();

    /// Calls `hook` with the number of each race window that a thread enters from now on.
    pub fn set_hook(hook: fn(usize)) {
        HOOK.set(hook).expect("there is one hook");
    }

    pub(crate) fn enter(window: usize) {
        if let Some(hook) = HOOK.get() {
            hook(window);
        }
    }
}
