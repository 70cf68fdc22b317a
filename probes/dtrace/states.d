#!/usr/sbin/dtrace -s
/*
 * states: what happens to devices, ports, underlays and varpd?
 *
 * USAGE
 *   overlay-trace --tracer dtrace states [interval [count]]
 *   dtrace -Z -s states.d OVERLAYD_PID VARPD_PID [interval [count]]
 *
 * DESCRIPTION
 *   Asks in D what states.bt asks; its header explains the answer.
 *
 * OVERHEAD
 *   None worth naming: a firing for each change, and changes are rare.
 *
 * CAVEATS
 *   Give 0 for a daemon that does not run. Both are watched at once, so the
 *   providers carry process ids; on illumos overlay*::: would do.
 *   Ends after count times interval seconds, or by Ctrl-C.
 */

#pragma D option quiet
#pragma D option defaultargs
#pragma D option strsize=256

dtrace:::BEGIN
{
	printf("Tracing changes of state: milliseconds, daemon, what... Ctrl-C ends.\n");
	start = timestamp;
	seconds = 0;
}

overlay$1:::device-state
{
	printf("%8u overlayd overlay    %s %s -> %s %s\n", (timestamp - start) / 1000000, copyinstr(arg2), copyinstr(arg3), copyinstr(arg4), copyinstr(arg5));
	@changes["device-state"] = count();
}

overlay$1:::device-mtu
{
	printf("%8u overlayd mtu        %s %u -> %u\n", (timestamp - start) / 1000000, copyinstr(arg4), arg2, arg3);
	@changes["device-mtu"] = count();
}

overlay$1:::port-state
{
	printf("%8u overlayd vnic       %s %s %s\n", (timestamp - start) / 1000000, copyinstr(arg3), copyinstr(arg4), copyinstr(arg5));
	@changes["port-state"] = count();
}

overlay$1:::underlay
{
	printf("%8u overlayd underlay   %s %s %s\n", (timestamp - start) / 1000000, copyinstr(arg2), copyinstr(arg3), copyinstr(arg1));
	@changes["underlay"] = count();
}

overlay$1:::answerer
{
	printf("%8u overlayd answerer   pid %u %s %s\n", (timestamp - start) / 1000000, arg0, copyinstr(arg2), copyinstr(arg3));
	@changes["answerer"] = count();
}

varpd$2:::connection
{
	printf("%8u varpd    connection %s %s\n", (timestamp - start) / 1000000, arg0 == 0 ? "lost" : "made", copyinstr(arg2));
	@changes["connection"] = count();
}

varpd$2:::instance-start
{
	printf("%8u varpd    instance   %s of %s %s\n", (timestamp - start) / 1000000, copyinstr(arg3), copyinstr(arg4), arg2 == 0 ? "not started" : "started");
	@changes["instance-start"] = count();
}

varpd$2:::instance-stop
{
	printf("%8u varpd    instance   %s of %s stopped\n", (timestamp - start) / 1000000, copyinstr(arg2), copyinstr(arg3));
	@changes["instance-stop"] = count();
}

varpd$2:::instance-state
{
	printf("%8u varpd    instance   %s %s %s\n", (timestamp - start) / 1000000, copyinstr(arg2), arg1 == 0 ? "up" : "degraded", copyinstr(arg3));
	@changes["instance-state"] = count();
}

profile:::tick-1s
/$3 > 0/
{
	seconds++;
}

profile:::tick-1s
/$3 > 0 && $4 > 0 && seconds >= $3 * $4/
{
	exit(0);
}

dtrace:::END
{
	printf("\n");
	printa("changes %s: %@u\n", @changes);
}
