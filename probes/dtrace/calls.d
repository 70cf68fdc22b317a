#!/usr/sbin/dtrace -s
/*
 * calls: who calls the control sockets, and how long do the calls take?
 *
 * USAGE
 *   overlay-trace --tracer dtrace calls [interval [count]]
 *   dtrace -Z -s calls.d OVERLAYD_PID VARPD_PID [interval [count]]
 *
 * DESCRIPTION
 *   Asks in D what calls.bt asks; its header explains the answer.
 *
 * OVERHEAD
 *   One firing of about a microsecond for each call.
 *
 * CAVEATS
 *   Give 0 for a daemon that does not run. Both are watched at once, so the
 *   providers carry process ids; on illumos overlay*::: would do.
 */

#pragma D option quiet
#pragma D option defaultargs
#pragma D option strsize=256

dtrace:::BEGIN
{
	printf("Tracing calls of the control sockets... Ctrl-C ends.\n");
	seconds = 0;
	due = 0;
}

overlay$1:::control-call
{
	@calls["overlayd", copyinstr(arg4), copyinstr(arg5), arg2] = count();
	@callers["overlayd", arg0, arg1] = count();
	@us["overlayd", copyinstr(arg4)] = quantize(arg3 / 1000);
}

varpd$2:::control-call
{
	@calls["varpd", copyinstr(arg4), copyinstr(arg5), arg2] = count();
	@callers["varpd", arg0, arg1] = count();
	@us["varpd", copyinstr(arg4)] = quantize(arg3 / 1000);
}

profile:::tick-1s
/$3 > 0/
{
	seconds++;
	due++;
}

profile:::tick-1s
/$3 > 0 && due == $3/
{
	due = 0;
	printf("\n%u s\n", seconds);
	printa("calls %s %s %s %u: %@u\n", @calls);
	printa("callers %s pid %u uid %u: %@u\n", @callers);
	printa("us %s %s%@d\n", @us);
}

profile:::tick-1s
/$3 > 0 && $4 > 0 && seconds >= $3 * $4/
{
	exit(0);
}

dtrace:::END
{
	printf("\n");
	printa("calls %s %s %s %u: %@u\n", @calls);
	printa("callers %s pid %u uid %u: %@u\n", @callers);
	printa("us %s %s%@d\n", @us);
}
