//! Work on many items by all processors.

use std::sync::atomic::{AtomicUsize, Ordering};

/// From how many cards on threads are worth their start where each is read and parsed.
pub const FILES: usize = 64;
/// The same where what is known of each is looked at.
pub const KNOWN: usize = 512;

/// Each item's value, in order, by all processors if there are at least so many items. The values come from the
/// pieces in which they were made, each of which goes once it is read: all of them are held once, not twice.
pub fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    least: usize,
    f: &(dyn Fn(usize, &T) -> R + Sync),
) -> impl Iterator<Item = R> + use<T, R> {
    let available = std::thread::available_parallelism().map_or(2, usize::from);
    let threads = if items.len() < least { 1 } else { available };
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let start = next.fetch_add(CHUNK, Ordering::Relaxed);
            let Some(rest) = items.get(start..).filter(|rest| !rest.is_empty()) else {
                return done;
            };
            let chunk = rest.iter().take(CHUNK).enumerate();
            done.push((
                start,
                chunk
                    .map(|(n, item)| f(start + n, item))
                    .collect::<Vec<R>>(),
            ));
        }
    };
    let mut all: Vec<(usize, Vec<R>)> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut all = work();
        for other in others {
            match other.join() {
                Ok(done) => all.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    all.sort_unstable_by_key(|(start, _)| *start);
    all.into_iter().flat_map(|(_, values)| values)
}

/// How many items a thread takes at once.
const CHUNK: usize = 32;
