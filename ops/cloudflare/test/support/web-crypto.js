import { webcrypto } from "node:crypto";

// Workers have it, and Node has it from version 19 on.
globalThis.crypto ??= webcrypto;
