//! Every interleaving, within a bound, of the protocols by which threads share a handle.
//!
//! The code under test is the library's own: see `build.rs`. loom runs it with all the orders in which
//! threads may take turns, and all the values that the memory model lets an atomic load return.
//! What surrounds it is replaced by the least that it needs.

#![cfg(test)]
#![allow(dead_code, unused_imports)]

mod shared;
mod surroundings;
mod tls;

mod published {
    include!(concat!(env!("OUT_DIR"), "/published_generation.rs"));
}
mod mutex {
    include!(concat!(env!("OUT_DIR"), "/mutex.rs"));
}
mod dispatcher {
    include!(concat!(env!("OUT_DIR"), "/dispatcher.rs"));
}
mod queue {
    include!(concat!(env!("OUT_DIR"), "/queue.rs"));
}
mod once_slots {
    include!(concat!(env!("OUT_DIR"), "/once_slots.rs"));
}
mod wait_graph {
    include!(concat!(env!("OUT_DIR"), "/wait_graph.rs"));
}

use surroundings::{event, handle_id, readers, sys, thread_id};

mod model_of_close;
mod model_of_events;
mod model_of_prepared;
mod model_of_publish;

/// Runs `model` in every interleaving with as many preemptions as `bound`.
fn explore(bound: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(bound);
    builder.check(model);
}
