import { webcrypto } from "node:crypto";

// Workers have it, and Node from 19 on.
globalThis.crypto ??= webcrypto;
