#!/usr/sbin/dtrace -s
/*
 * drops: why are packets dropped?
 *
 * USAGE
 *   overlay-trace --tracer dtrace drops [interval [count]] [--vni N] [--mac MAC]
 *   dtrace -Z -p PID -s drops.d [interval [count [vni [mac]]]]
 *
 * DESCRIPTION
 *   Asks in D what drops.bt asks; its header explains the answer.
 *
 * OVERHEAD
 *   One firing of about a microsecond for each drop, nothing for what passes.
 *
 * CAVEATS
 *   Watch overlayd: the provider's name carries the process id of -p.
 */

#pragma D option quiet
#pragma D option defaultargs
#pragma D option strsize=256

dtrace:::BEGIN
{
	printf("Tracing drops... Ctrl-C ends.\n");
	seconds = 0;
	due = 0;
}

overlay$target:::drop
/($3 == 0 || arg2 == $3) && ($$4 == "" || copyinstr(arg5) == $$4)/
{
	@dropped[arg1 == 0 ? "dropped_tx" : "dropped_rx", arg2, copyinstr(arg4), copyinstr(arg5)] = count();
	@dropped_by_reason[arg1 == 0 ? "dropped_tx_by_reason" : "dropped_rx_by_reason", arg2, copyinstr(arg4)] = count();
	@dropped_bytes[arg1 == 0 ? "dropped_tx_bytes" : "dropped_rx_bytes", copyinstr(arg4)] = sum(arg3);
}

overlay$target:::rx-overflow
/$3 == 0 && $$4 == ""/
{
	@lost_before_read[copyinstr(arg2)] = sum(arg1);
}

profile:::tick-1s
/$1 > 0/
{
	seconds++;
	due++;
}

profile:::tick-1s
/$1 > 0 && due == $1/
{
	due = 0;
	printf("\n%u s\n", seconds);
	printa("%s %u %s %s: %@u\n", @dropped);
	printa("%s %u %s: %@u\n", @dropped_by_reason);
	printa("%s %s: %@u\n", @dropped_bytes);
	printa("lost_before_read %s: %@u\n", @lost_before_read);
}

profile:::tick-1s
/$1 > 0 && $2 > 0 && seconds >= $1 * $2/
{
	exit(0);
}

dtrace:::END
{
	printf("\n");
	printa("%s %u %s %s: %@u\n", @dropped);
	printa("%s %u %s: %@u\n", @dropped_by_reason);
	printa("%s %s: %@u\n", @dropped_bytes);
	printa("lost_before_read %s: %@u\n", @lost_before_read);
}
