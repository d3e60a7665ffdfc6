/**
 * Finds a device's status in frames, replies to requests, and MQTT messages.
 *
 * @typedef {{src?: unknown, params: unknown}} Status a device and the status of its components by name, `switch:0`
 */

/** The methods of frames that carry a status. */
const statusMethods = new Set(["NotifyStatus", "NotifyFullStatus"]);

/** A component's configuration has none of these members. The status of a component with a meter has one. */
const measured = ["apower", "act_power", "a_act_power", "b_act_power", "c_act_power", "aenergy"];

/**
 * The reply to a component's `GetStatus` does not name the component's type. The first of these members that it has
 * determines the type.
 */
const types = [
    ["a_act_power", "em"], ["act_power", "em1"], ["state", "cover"], ["mode", "rgbcct"], ["white", "rgbw"],
    ["rgb", "rgb"], ["ct", "cct"], ["brightness", "light"], ["output", "switch"], ["apower", "pm1"],
];

/**
 * The status in a frame, or in a reply to `Shelly.GetStatus` or to a component's `GetStatus`. Other frames have none:
 * events, requests, and replies with a configuration.
 *
 * @param {Record<string, unknown>} frame
 * @returns {Status | undefined}
 */
export function statusOf(frame) {
    const { src, method, params, result } = frame;
    if (statusMethods.has(/** @type {any} */ (method))) return { src, params };
    if (method === undefined && result === undefined && frame.error === undefined) return { src, params };
    const candidate = params ?? result;
    if (!isObject(candidate)) return undefined;
    if (isDeviceStatus(candidate)) return { src, params: candidate };
    const [, type] = types.find(([member]) => member in candidate) ?? [];
    const isOfComponent = isComponentStatus(candidate) && Number.isInteger(candidate.id) && type !== undefined;
    return isOfComponent ? { src, params: { [`${type}:${candidate.id}`]: candidate } } : undefined;
}

/**
 * Whether a value is an MQTT message as a bridge forwards it.
 * @param {unknown} value
 * @returns {value is {topic: string, payload: unknown}}
 */
export function isPublication(value) {
    return isObject(value) && typeof value.topic === "string" && "payload" in value && !("params" in value);
}

/** `<prefix>/status/<component>`: a device publishes the status of one component. */
const statusTopic = /^(.+)\/status\/([^/]+)$/;

/**
 * Only the topics of a status and of frames (`<prefix>/events/rpc`, `<client>/rpc`) can have data of a meter.
 * @param {string} topic
 */
export function isTopicOfFrames(topic) {
    return topic.endsWith("/rpc") || statusTopic.test(topic);
}

/**
 * The frame that is the payload of an MQTT message, or that has its status.
 *
 * @param {string} topic
 * @param {unknown} payload decoded
 * @returns {unknown}
 */
export function publishedFrame(topic, payload) {
    const [, prefix, component] = statusTopic.exec(topic) ?? [];
    return component === undefined ? payload : { src: deviceOf(prefix), params: { [component]: payload } };
}

/**
 * A device's prefix is its id, unless a user changed it. If the last part of the prefix looks like an id, that part is
 * the device, as in the device's frames.
 *
 * @param {string} prefix
 */
function deviceOf(prefix) {
    const last = prefix.slice(prefix.lastIndexOf("/") + 1);
    return /-[0-9a-f]{12}$/i.test(last) ? last : prefix;
}

/** @param {Record<string, unknown>} candidate */
function isDeviceStatus(candidate) {
    // A device without a meter has a status as well. The configuration of `sys` has no uptime.
    const hasUptime = isObject(candidate.sys) && typeof candidate.sys.uptime === "number";
    return hasUptime || Object.values(candidate).some(isComponentStatus);
}

/** @param {unknown} value */
export function isComponentStatus(value) {
    return isObject(value) && measured.some((member) => member in value);
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
export function isObject(value) {
    return typeof value === "object" && value !== null && !Array.isArray(value);
}
