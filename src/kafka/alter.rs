//! Sets one setting of a topic and leaves the others as they are (IncrementalAlterConfigs), which rdkafka has no safe
//! call for; its `alter_configs` resets what it does not name.

use std::ffi::{CStr, CString, c_int};
use std::ptr;
use std::time::Duration;

use rdkafka::bindings as native;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::admin::Denied;

/// Frees what it holds, with the function that librdkafka names for it.
struct Owned<T> {
    pointer: *mut T,
    free: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    fn new(pointer: *mut T, free: unsafe extern "C" fn(*mut T)) -> Option<Owned<T>> {
        (!pointer.is_null()).then_some(Owned { pointer, free })
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from librdkafka, is not null, and is freed here only.
        unsafe { (self.free)(self.pointer) }
    }
}

/// Asks the cluster of `client`, which must outlive the call, and waits for the answer.
pub(super) fn set(
    client: *mut native::rd_kafka_t,
    topic: &str,
    name: &str,
    value: &str,
    timeout: Duration,
) -> Result<(), Denied> {
    let refused = |why: &str| Denied::Refused(why.to_owned());
    let text = |text: &str| CString::new(text).map_err(|_| refused("a name or value holds a zero byte"));
    let (topic, name, value) = (text(topic)?, text(name)?, text(value)?);
    let resource = resource(&topic, &name, &value)?;
    let none = || refused("librdkafka has no memory left");
    // SAFETY: `client` is alive; both results are owned here.
    let (queue, options) = unsafe {
        let operation = native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS;
        (
            Owned::new(native::rd_kafka_queue_new(client), native::rd_kafka_queue_destroy).ok_or_else(none)?,
            Owned::new(native::rd_kafka_AdminOptions_new(client, operation), native::rd_kafka_AdminOptions_destroy)
                .ok_or_else(none)?,
        )
    };
    let mut resources = [resource.pointer];
    let timeout_ms = c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: all pointers are alive; the request copies the resources.
    let event = unsafe {
        native::rd_kafka_IncrementalAlterConfigs(client, resources.as_mut_ptr(), 1, options.pointer, queue.pointer);
        native::rd_kafka_queue_poll(queue.pointer, timeout_ms)
    };
    let event = Owned::new(event, native::rd_kafka_event_destroy).ok_or(Denied::NoAnswer)?;
    outcome(&event)
}

fn resource(topic: &CStr, name: &CStr, value: &CStr) -> Result<Owned<native::rd_kafka_ConfigResource_s>, Denied> {
    let kind = native::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
    // SAFETY: the texts are null-terminated and copied.
    let resource = unsafe { native::rd_kafka_ConfigResource_new(kind, topic.as_ptr()) };
    let resource = Owned::new(resource, native::rd_kafka_ConfigResource_destroy)
        .ok_or_else(|| Denied::Refused("the topic's name is empty".to_owned()))?;
    let set = native::rd_kafka_AlterConfigOpType_t::RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET;
    // SAFETY: as above; the resource is alive.
    let error = unsafe {
        native::rd_kafka_ConfigResource_add_incremental_config(resource.pointer, name.as_ptr(), set, value.as_ptr())
    };
    match Owned::new(error, native::rd_kafka_error_destroy) {
        None => Ok(resource),
        // SAFETY: the error is alive, its text lives as long.
        Some(error) => Err(Denied::Refused(unsafe { shown(native::rd_kafka_error_string(error.pointer)) })),
    }
}

/// What the answer says of the request, and of the one topic in it.
fn outcome(event: &Owned<native::rd_kafka_event_t>) -> Result<(), Denied> {
    let none = native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
    // SAFETY: the event is alive, and with it everything that it points to.
    unsafe {
        let error = native::rd_kafka_event_error(event.pointer);
        if error != none {
            return Err(Code::from(error).into());
        }
        let result = native::rd_kafka_event_IncrementalAlterConfigs_result(event.pointer);
        if result.is_null() {
            return Err(Denied::Refused("an answer to another question".to_owned()));
        }
        let mut count = 0;
        let resources = native::rd_kafka_IncrementalAlterConfigs_result_resources(result, ptr::addr_of_mut!(count));
        for index in 0..count {
            let resource = *resources.add(index);
            let error = native::rd_kafka_ConfigResource_error(resource);
            if error != none {
                let words = || Denied::Refused(shown(native::rd_kafka_ConfigResource_error_string(resource)));
                return Err(match Code::from(error) {
                    // Kafka's own words say more about a value than the code does.
                    Code::InvalidConfig | Code::PolicyViolation => words(),
                    code => code.into(),
                });
            }
        }
    }
    Ok(())
}

/// # Safety
///
/// `text` is null or null-terminated.
unsafe fn shown(text: *const std::ffi::c_char) -> String {
    if text.is_null() {
        return "an error without a text".into();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
