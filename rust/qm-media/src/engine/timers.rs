//! Time: the pace of our own packets, the sweep (hold-back, chunks, silence), the lease.

use super::{Cx, Engine, packets, playing, taps};
use crate::protocol::{Event, LegName, MS, Nanos};
use crate::shell::Shell;
use crate::tap::Pause;
use std::cmp::Reverse;

/// How often hold-back and chunks are looked at. Half of it is added to a packet's way to the disk, on average.
const SWEEP: Nanos = 50 * MS;

pub(super) fn next(engine: &Engine) -> Option<Nanos> {
    let pace = engine.world.pace.peek().map(|Reverse((at, ..))| *at);
    let sweep = engine.world.configured.then_some(engine.world.next_sweep);
    let lease = engine.world.leased.then_some(engine.world.lease_until);
    [pace, sweep, lease].into_iter().flatten().min()
}

pub(super) fn advance(engine: &mut Engine, now: Nanos, shell: &mut dyn Shell) {
    while let Some(Reverse((at, socket, ticket))) = engine.world.pace.peek().copied() {
        if at > now {
            break;
        }
        engine.world.pace.pop();
        if let Some(call) = engine.calls.get_mut(socket.slot()).and_then(Option::as_mut) {
            playing::due(call, socket, at, ticket, &mut Cx { world: &mut engine.world, shell, now });
        }
    }
    if engine.world.configured && now >= engine.world.next_sweep {
        engine.world.next_sweep = now + SWEEP;
        sweep(engine, now, shell);
    }
}

fn sweep(engine: &mut Engine, now: Nanos, shell: &mut dyn Shell) {
    engine.each_call(now, shell, |call, cx| {
        if !call.taps().is_empty() {
            taps::flush(call, false, cx);
        }
        for name in LegName::BOTH {
            packets::keys_over(call, name, cx);
            let timeout = cx.world.settings.media_timeout;
            let Some(leg) = call.leg(name).filter(|leg| leg.receives() && !leg.timeout_said) else {
                continue;
            };
            if now >= leg.heard_at + timeout {
                leg.timeout_said = true;
                cx.event(Event::MediaTimeout { call: call.id.clone(), leg: name });
            }
        }
    });
    if !engine.world.closing.is_empty() {
        taps::retry_closing(&mut Cx { world: &mut engine.world, shell, now });
    }
}

/// Python has not been heard for too long: it may be gone, and with it whoever knows what the call has become.
pub(super) fn lease_ran_out(engine: &mut Engine, now: Nanos, shell: &mut dyn Shell) {
    engine.world.leased = false;
    engine.world.counters.lease_losses += 1;
    engine.each_call(now, shell, |call, cx| taps::set_pause(call, Pause::Lease, true, "lease", cx));
}

pub(super) fn leased(engine: &mut Engine, now: Nanos, shell: &mut dyn Shell) {
    engine.world.lease_until = now + engine.world.settings.lease;
    if !engine.world.leased {
        engine.world.leased = true;
        engine.each_call(now, shell, |call, cx| taps::set_pause(call, Pause::Lease, false, "lease", cx));
    }
}
