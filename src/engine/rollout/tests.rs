use super::*;

/// Returns the size of the futures that a function returns.
fn size<F>(
    _: impl FnOnce(&'static Run, usize, &'static Wave, &'static Permit, &'static (dyn Fn() + Sync)) -> F,
) -> usize {
    size_of::<F>()
}

#[test]
fn a_rollout_that_waits_is_small() {
    // As many may wait at once as a fleet has targets. It is larger where a part that is hardly ever under way is not on
    // the heap.
    let size = size(rollout) + size_of::<Rollout<'static>>();
    assert!(size < 3_072, "{size} bytes");
}
