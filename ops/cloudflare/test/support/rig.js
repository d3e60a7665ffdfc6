import { execFileSync, spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../../..", import.meta.url));
const binaries = process.env.SHELLY_TEST_BIN ?? join(root, ".build/debug");
const postgres = join(root, "ops/dev/postgres.sh");

/** A wait longer than this is a failure; a slow machine needs far less. */
const patienceMilliseconds = 600_000;
/** The receiver's own timeouts, so long that no test reaches them. */
const deadlines = {
    INGEST_HEAD_SECONDS: "3600", INGEST_BODY_SECONDS: "3600", INGEST_COMMIT_SECONDS: "3600",
    INGEST_IDLE_SECONDS: "86400",
};

/** The real receiver, loader and PostgreSQL, with a spool and a database of their own. */
export class Rig {
    key = "key-of-the-rig";
    /** The receiver's present or last address: the kernel chooses another port at each start. */
    port;
    #directory = mkdtempSync(join(tmpdir(), "shelly-worker-"));
    #receiver;
    #databaseURL;
    #cluster = join(root, ".local/worker-postgres");
    #settings = {};

    static async start(settings = {}) {
        const rig = new Rig();
        rig.#settings = settings;
        execFileSync(postgres, ["destroy", rig.#cluster]);
        rig.startDatabase();
        rig.load("migrate");
        await rig.startReceiver();
        return rig;
    }

    /** The Worker's settings. */
    get env() {
        return { RECEIVER_URL: `http://127.0.0.1:${this.port}`, INGEST_API_KEY: this.key };
    }

    get #environment() {
        const ours = /^(PG|INGEST_|SPOOL_|LOADER_|DATABASE_)/;
        const inherited = Object.entries(process.env).filter(([name]) => !ours.test(name));
        return {
            ...Object.fromEntries(inherited),
            DATABASE_URL: this.#databaseURL, SPOOL_DIR: join(this.#directory, "spool"), SPOOL_FILE_SYSTEM: "any",
            LOG_LEVEL: "warning",
        };
    }

    startDatabase() {
        this.#databaseURL = execFileSync(postgres, ["start", this.#cluster], { encoding: "utf8" }).trim();
    }

    stopDatabase() {
        execFileSync(postgres, ["stop", this.#cluster]);
    }

    /** Runs the loader until it ends. */
    load(...commandLine) {
        return execFileSync(join(binaries, "shelly-loader"), commandLine, { env: this.#environment, encoding: "utf8" });
    }

    /** Runs SQL and returns the first column of the rows. */
    query(sql) {
        const commandLine = ["psql", this.#cluster, "-AtX", "-v", "ON_ERROR_STOP=1", "-c", sql];
        const text = execFileSync(postgres, commandLine, { encoding: "utf8", maxBuffer: 1 << 26 });
        return text.split("\n").filter((line) => line !== "");
    }

    async startReceiver(settings = this.#settings) {
        const logFile = join(this.#directory, "receiver.log");
        const log = openSync(logFile, "w");
        const receiver = spawn(join(binaries, "shelly-receiver"), [], {
            env: {
                ...this.#environment, HOST: "127.0.0.1", PORT: "0", INGEST_API_KEY: this.key, ...deadlines,
                // The receiver logs its port at this level.
                LOG_LEVEL: "info",
                ...settings,
            },
            stdio: ["ignore", "ignore", log],
        });
        closeSync(log);
        this.#receiver = receiver;
        const logged = () => readFileSync(logFile, "utf8");
        const started = performance.now();
        while (performance.now() - started < patienceMilliseconds) {
            if (hasEnded(receiver)) throw new Error(`the receiver ended: ${logged()}`);
            const port = /listening on 127\.0\.0\.1:(\d+)/.exec(logged())?.[1];
            if (port !== undefined) {
                this.port = Number(port);
                const health = await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => undefined);
                if (health?.ok) return;
            }
            await sleep(20);
        }
        throw new Error(`the receiver does not answer: ${logged()}`);
    }

    async endReceiver(signal) {
        const receiver = this.#receiver;
        this.#receiver = undefined;
        if (receiver === undefined || hasEnded(receiver)) return;
        const ended = new Promise((resolve) => receiver.once("exit", resolve));
        receiver.kill(signal);
        await ended;
    }

    async end() {
        await this.endReceiver("SIGKILL");
        execFileSync(postgres, ["destroy", this.#cluster]);
        rmSync(this.#directory, { recursive: true, force: true });
    }
}

/** A TCP relay that can drop the receiver's answers: the receiver gets the batch, the Worker gets no answer. */
export async function relay(t, port) {
    const state = { losesAnswers: false, url: "" };
    const server = net.createServer((client) => {
        const upstream = net.connect(port, "127.0.0.1");
        const end = () => {
            client.destroy();
            upstream.destroy();
        };
        for (const socket of [client, upstream]) socket.on("error", end).on("close", end);
        client.on("data", (chunk) => upstream.write(chunk));
        upstream.on("data", (chunk) => state.losesAnswers ? end() : client.write(chunk));
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.after(() => server.close());
    state.url = `http://127.0.0.1:${server.address().port}`;
    return state;
}

function hasEnded(child) {
    return child.exitCode !== null || child.signalCode !== null;
}
